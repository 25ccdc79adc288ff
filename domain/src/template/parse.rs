//! Parses a template, as Go's parser does, down to its messages.

mod expression;

use std::collections::HashMap;
use std::fmt::Write as _;

use super::ast::{Branch, List, Node};
use super::lex::{Kind, Token, lex};
use super::literal;

/// The templates of a source by their names; the source itself has the empty name.
pub(super) type Templates = HashMap<String, List>;

/// How deep blocks and parentheses may nest. Beyond it a hostile template could use up the stack.
const MAX_DEPTH: usize = 100;

pub(super) fn parse<'s>(
    source: &'s str,
    is_function: &'s dyn Fn(&str) -> bool,
) -> Result<Templates, String> {
    let mut parser = Parser {
        tokens: lex(source),
        at: 0,
        furthest: 0,
        is_function,
        templates: HashMap::new(),
        variables: vec!["$"],
        ranges: 0,
        depth: 0,
        action_line: 0,
    };
    parser.source().map_err(|message| {
        let line = parser
            .tokens
            .get(parser.furthest)
            .map_or(1, |token| token.line);
        format!("template: :{line}: {message}")
    })?;
    Ok(parser.templates)
}

struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    at: usize,
    /// The last token that was looked at; messages name its line.
    furthest: usize,
    is_function: &'s dyn Fn(&str) -> bool,
    templates: Templates,
    variables: Vec<&'s str>,
    ranges: usize,
    depth: usize,
    action_line: usize,
}

/// What ended a list of nodes.
enum Closing {
    End,
    Else,
}

impl Closing {
    const fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Closing(Closing),
}

impl<'s> Parser<'s> {
    fn token(&mut self, index: usize) -> Token<'s> {
        let index = index.min(self.tokens.len() - 1);
        self.furthest = self.furthest.max(index);
        self.tokens[index].clone()
    }

    fn peek(&mut self) -> Token<'s> {
        self.token(self.at)
    }

    fn next(&mut self) -> Token<'s> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        if self.peek().kind == Kind::Space {
            self.at += 1;
        }
    }

    fn peek_non_space(&mut self) -> Token<'s> {
        self.skip_space();
        self.peek()
    }

    fn next_non_space(&mut self) -> Token<'s> {
        self.skip_space();
        self.next()
    }

    fn unexpected(&self, token: &Token<'_>, context: &str) -> String {
        if token.kind != Kind::Error {
            return format!("unexpected {} in {context}", token.shown());
        }
        let mut text = token.shown();
        if self.action_line != 0 && self.action_line != token.line {
            let line = self.action_line;
            let action = if text.ends_with(" action") {
                ""
            } else {
                " in action"
            };
            _ = write!(text, "{action} started at :{line}");
        }
        text
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<(), String> {
        let token = self.next_non_space();
        if token.kind == kind {
            Ok(())
        } else {
            Err(self.unexpected(&token, context))
        }
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err("max expression depth exceeded".to_owned())
        } else {
            Ok(())
        }
    }

    fn source(&mut self) -> Result<(), String> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let before = self.at;
                self.at += 1;
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.at = before;
            }
            match self.item()? {
                Item::Node(node) => root.push(node),
                Item::Closing(closing) => return Err(format!("unexpected {}", closing.shown())),
            }
        }
        self.add(String::new(), root)
    }

    fn add(&mut self, name: String, list: List) -> Result<(), String> {
        match self.templates.get(&name) {
            Some(known) if !is_empty(known) => {
                if is_empty(&list) {
                    return Ok(());
                }
                let name = super::quoted(&name);
                Err(format!("template: multiple definition of template {name}"))
            }
            _ => {
                self.templates.insert(name, list);
                Ok(())
            }
        }
    }

    fn definition(&mut self) -> Result<(), String> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.named(name, "define clause")
    }

    /// The body of a template of its own, with none of the variables around it.
    fn named(&mut self, name: String, context: &str) -> Result<(), String> {
        self.enter()?;
        let variables = std::mem::replace(&mut self.variables, vec!["$"]);
        let ranges = std::mem::take(&mut self.ranges);
        let (list, closing) = self.list()?;
        if let Closing::Else = closing {
            return Err(format!("unexpected {} in {context}", closing.shown()));
        }
        self.variables = variables;
        self.ranges = ranges;
        self.depth -= 1;
        self.add(name, list)
    }

    fn template_name(&mut self, token: &Token<'s>, context: &str) -> Result<String, String> {
        match token.kind {
            Kind::String | Kind::RawString => literal::unquote(token.text),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn list(&mut self) -> Result<(List, Closing), String> {
        let mut list = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.item()? {
                Item::Node(node) => list.push(node),
                Item::Closing(closing) => return Ok((list, closing)),
            }
        }
        Err("unexpected EOF".to_owned())
    }

    fn item(&mut self) -> Result<Item, String> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.into()))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, String> {
        let before = self.at;
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.leave(Node::Break)?,
            Kind::Continue => self.leave(Node::Continue)?,
            Kind::Else => {
                let next = self.peek_non_space();
                if !matches!(next.kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Closing(Closing::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Closing(Closing::End));
            }
            Kind::If => Node::If(self.branch("if")?),
            Kind::With => Node::With(self.branch("with")?),
            Kind::Range => Node::Range(self.branch("range")?),
            Kind::Template => self.template()?,
            _ => {
                self.at = before;
                let pos = self.peek_non_space().pos;
                Node::Action {
                    pos,
                    pipe: self.pipeline("command", Kind::RightDelim)?,
                }
            }
        };
        Ok(Item::Node(node))
    }

    fn leave(&mut self, node: Node) -> Result<Node, String> {
        let name = node.to_string();
        self.expect(Kind::RightDelim, &name)?;
        if self.ranges == 0 {
            return Err(format!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn branch(&mut self, context: &'static str) -> Result<Branch, String> {
        self.enter()?;
        let variables = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.action_line = 0;
        let is_range = usize::from(context == "range");
        self.ranges += is_range;
        let (list, closing) = self.list()?;
        self.ranges -= is_range;
        let otherwise = match closing {
            Closing::End => None,
            Closing::Else => Some(self.otherwise(context)?),
        };
        self.variables.truncate(variables);
        self.depth -= 1;
        Ok(Branch {
            pipe,
            list,
            otherwise,
        })
    }

    fn otherwise(&mut self, context: &'static str) -> Result<List, String> {
        match (context, self.peek().kind) {
            ("if", Kind::If) => {
                self.at += 1;
                Ok(vec![Node::If(self.branch("if")?)])
            }
            ("with", Kind::With) => {
                self.at += 1;
                Ok(vec![Node::With(self.branch("with")?)])
            }
            _ => {
                let (list, closing) = self.list()?;
                match closing {
                    Closing::End => Ok(list),
                    Closing::Else => Err(format!("expected end; found {}", closing.shown())),
                }
            }
        }
    }

    fn block(&mut self) -> Result<Node, String> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        self.named(name.clone(), "block clause")?;
        Ok(Node::Template {
            pos: token.pos,
            name,
            pipe: Some(pipe),
        })
    }

    fn template(&mut self) -> Result<Node, String> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "template clause")?;
        let before = self.at;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.at = before;
            pipe = Some(self.pipeline("template clause", Kind::RightDelim)?);
        }
        Ok(Node::Template {
            pos: token.pos,
            name,
            pipe,
        })
    }
}

/// Whether a template has nothing but blanks, so that a later one of its name replaces it.
fn is_empty(list: &[Node]) -> bool {
    list.iter()
        .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
