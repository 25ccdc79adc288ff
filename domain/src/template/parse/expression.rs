//! Pipelines, commands and their operands.

use super::super::ast::{Command, Expr, Pipe, Term};
use super::super::lex::Kind;
use super::super::{literal, quoted};
use super::Parser;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, String> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe {
            pos,
            declared: Vec::new(),
            is_assignment: false,
            commands: Vec::new(),
        };
        self.declarations(context, &mut pipe)?;
        loop {
            let before = self.at;
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.at = before;
                    pipe.commands.push(self.command()?);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let first = &command.args[0].term;
            if matches!(
                first,
                Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(..)
            ) {
                let stage = index + 1;
                return Err(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(pipe)
    }

    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Result<(), String> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            let before = self.at;
            self.at += 1;
            let next = self.peek_non_space();
            let is_comma = next.kind == Kind::Char && next.text == ",";
            let is_assignment = next.kind == Kind::Assign;
            if !(is_comma || is_assignment || next.kind == Kind::Declare) {
                self.at = before;
                return Ok(());
            }
            self.at += 1;
            pipe.declared.push(variable.text.into());
            self.variables.push(variable.text);
            if !is_comma {
                pipe.is_assignment = is_assignment;
                return Ok(());
            }
            if context != "range" || pipe.declared.len() >= 2 {
                return Err(format!("too many declarations in {context}"));
            }
            let next = self.peek_non_space().kind;
            if !matches!(next, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return Err("range can only initialize variables".to_owned());
            }
        }
    }

    fn command(&mut self) -> Result<Command, String> {
        let pos = self.peek_non_space().pos;
        let mut args = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.at -= 1,
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if args.is_empty() {
            return Err("empty command".to_owned());
        }
        Ok(Command { pos, args })
    }

    fn operand(&mut self) -> Result<Option<Expr>, String> {
        let Some(mut expr) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(expr));
        }
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text[1..].into());
        }
        match &mut expr.term {
            Term::Field(known) | Term::Variable(known) => {
                known.extend(names);
                expr.pos = first.pos;
            }
            Term::Function(_) | Term::Pipe(_) | Term::Chain(..) => {
                let pos = first.pos;
                expr = Expr {
                    pos,
                    term: Term::Chain(Box::new(expr), names),
                };
            }
            _ => {
                let term = quoted(&expr.to_string());
                return Err(format!("unexpected . after term {term}"));
            }
        }
        Ok(Some(expr))
    }

    fn term(&mut self) -> Result<Option<Expr>, String> {
        let before = self.at;
        let token = self.next_non_space();
        let term = match token.kind {
            Kind::Identifier => {
                if !(self.is_function)(token.text) {
                    let name = quoted(token.text);
                    return Err(format!("function {name} not defined"));
                }
                Term::Function(token.text.into())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    let name = quoted(token.text);
                    return Err(format!("undefined variable {name}"));
                }
                Term::Variable(vec![token.text.into()])
            }
            Kind::Field => Term::Field(vec![token.text[1..].into()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant => Term::Number(literal::character(token.text)?),
            Kind::Complex => Term::Number(literal::complex(token.text)?),
            Kind::Number => Term::Number(literal::number(token.text)?),
            Kind::LeftParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                Term::Pipe(pipe)
            }
            Kind::String | Kind::RawString => {
                Term::Text(literal::unquote(token.text)?.into(), token.text.into())
            }
            _ => {
                self.at = before;
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            pos: token.pos,
            term,
        }))
    }
}
