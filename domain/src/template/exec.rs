//! Walks a parsed template.

use std::fmt::Display;

use super::ast::{Branch, Expr, List, Node, Pipe};
use super::output::{Output, Trust};
use super::parse::Templates;
use super::parsed::Template;
use super::print;
use super::value::Value;
use super::work::{STEP, Work};

/// A value on its way through a template.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub value: Value,
    /// The interface type that Go holds it in, which its messages name instead of its own.
    pub interface: Option<&'static str>,
    pub trust: Trust,
    /// It is a text that says `<nil>` for a nil.
    pub nils: bool,
}

pub(super) const ANY: &str = "interface {}";

impl Val {
    pub(super) const fn data(value: Value) -> Self {
        Self {
            value,
            interface: None,
            trust: Trust::Data,
            nils: false,
        }
    }

    pub(super) const fn author(value: Value) -> Self {
        Self {
            value,
            interface: None,
            trust: Trust::Author,
            nils: false,
        }
    }

    /// An element of a slice or map that the value is.
    pub(super) fn element(&self, value: Value) -> Self {
        let interface = matches!(self.value, Value::List(_) | Value::Map(_)).then_some(ANY);
        let (value, trust) = match value {
            Value::Escaped(text) => (Value::Str(text), Trust::Escaped),
            value => (value, self.trust),
        };
        Self {
            value,
            interface,
            trust,
            nils: self.nils,
        }
    }

    /// The name of the static type.
    pub(super) fn type_name(&self) -> String {
        match (&self.value, self.interface) {
            (Value::Nil, None) => ANY.to_owned(),
            (_, Some(interface)) => interface.to_owned(),
            (value, None) => value.type_name(),
        }
    }

    /// What the interface holds, for the interface that every type fits in.
    fn unboxed(mut self) -> Self {
        if self.interface == Some(ANY) {
            self.interface = None;
        }
        if let Value::Nil = self.value {
            self.value = Value::Invalid;
        }
        self
    }
}

/// Why the walk does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    Error(String),
    Break,
    Continue,
}

impl From<String> for Stop {
    fn from(message: String) -> Self {
        Self::Error(message)
    }
}

/// A node that messages can point to.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    pos: usize,
    shown: Option<&'t dyn Display>,
}

pub(super) struct State<'t> {
    source: &'t str,
    templates: &'t Templates,
    /// The name of the template that is walked.
    name: &'t str,
    place: Place<'t>,
    variables: Vec<(&'t str, Val)>,
    output: Output,
    pub(super) work: Work,
}

pub(super) fn execute(template: &Template, data: &Value, output: Output) -> Result<String, String> {
    let root = Val::data(data.clone()).unboxed();
    let mut state = State {
        source: &template.source,
        templates: &template.templates,
        name: "",
        place: Place {
            pos: 0,
            shown: None,
        },
        variables: vec![("$", root.clone())],
        output,
        work: Work::default(),
    };
    let outcome = match template.templates.get("") {
        Some(list) => state.list(&root, list),
        None => Ok(()),
    };
    match outcome {
        Err(Stop::Error(message)) => Err(state.located(&message)),
        _ => Ok(state.output.finish()),
    }
}

impl<'t> State<'t> {
    pub(super) fn at(&mut self, pos: usize, shown: &'t dyn Display) {
        self.place = Place {
            pos,
            shown: Some(shown),
        };
    }

    pub(super) fn at_expr(&mut self, expr: &'t Expr) {
        self.at(expr.pos, expr);
    }

    /// A message with the place it is about.
    fn located(&self, message: &str) -> String {
        let before = &self.source[..self.place.pos];
        let line = 1 + before.matches('\n').count();
        let column = before
            .rfind('\n')
            .map_or(before.len(), |at| before.len() - at - 1);
        let name = super::quoted(self.name);
        let shown = self
            .place
            .shown
            .map(ToString::to_string)
            .unwrap_or_default();
        format!("template: :{line}:{column}: executing {name} at <{shown}>: {message}")
    }

    fn list(&mut self, dot: &Val, list: &'t List) -> Result<(), Stop> {
        self.work.enter()?;
        for node in list {
            self.node(dot, node)?;
        }
        self.work.leave();
        Ok(())
    }

    fn node(&mut self, dot: &Val, node: &'t Node) -> Result<(), Stop> {
        self.work.step()?;
        match node {
            Node::Text(text) => Ok(self.output.push(text, Trust::Author, false)?),
            Node::Action { pos, pipe } => {
                self.at(*pos, node);
                let value = self.pipeline(dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.at(*pos, node);
                    self.print(&value)?;
                }
                Ok(())
            }
            Node::If(branch) => self.choose(dot, branch, false),
            Node::With(branch) => self.choose(dot, branch, true),
            Node::Range(branch) => {
                self.at(branch.pipe.pos, node);
                let known = self.variables.len();
                let outcome = self.range(dot, branch);
                self.variables.truncate(known);
                outcome
            }
            Node::Template { pos, name, pipe } => {
                self.at(*pos, node);
                self.template(dot, name, pipe.as_ref())
            }
            Node::Break => Err(Stop::Break),
            Node::Continue => Err(Stop::Continue),
        }
    }

    fn choose(&mut self, dot: &Val, branch: &'t Branch, is_with: bool) -> Result<(), Stop> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        if value.value.truth() {
            self.list(if is_with { &value } else { dot }, &branch.list)?;
        } else if let Some(list) = &branch.otherwise {
            self.list(dot, list)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn range(&mut self, dot: &Val, branch: &'t Branch) -> Result<(), Stop> {
        let value = self.pipeline(dot, &branch.pipe)?;
        let turns = self.turns(&value, branch)?;
        if turns.is_empty() {
            return match &branch.otherwise {
                Some(list) => self.list(dot, list),
                None => Ok(()),
            };
        }
        let known = self.variables.len();
        for (key, element) in turns {
            self.work.step()?;
            self.assign_turn(&branch.pipe, key, &element)?;
            let depth = self.work.depth();
            match self.list(&element, &branch.list) {
                Ok(()) => {}
                Err(Stop::Continue) => self.work.set_depth(depth),
                Err(Stop::Break) => {
                    self.work.set_depth(depth);
                    break;
                }
                Err(error) => return Err(error),
            }
            self.variables.truncate(known);
        }
        Ok(())
    }

    /// What a range goes over: keys and elements.
    fn turns(&mut self, value: &Val, branch: &Branch) -> Result<Vec<(Value, Val)>, Stop> {
        let target = value.value.pointee().unwrap_or_else(|| value.value.clone());
        if let Some(count) = target.as_int().or(match target {
            Value::Byte(byte) => Some(i64::from(byte)),
            _ => None,
        }) {
            if branch.pipe.declared.len() > 1 {
                return Err(Stop::Error(format!(
                    "can't use {count} to iterate over more than one variable"
                )));
            }
            let count = usize::try_from(count).unwrap_or(0);
            self.work.charge(count.saturating_mul(STEP))?;
            let turn = |index| (Value::Invalid, Val::author(Value::size(index)));
            return Ok((0..count).map(turn).collect());
        }
        if target.is_none() {
            return Ok(Vec::new());
        }
        if let Some(members) = target.members() {
            self.work.charge(members.len() * STEP)?;
            let turn = |(key, member)| (Value::Str(key), value.element(member));
            return Ok(members.into_iter().map(turn).collect());
        }
        if let Some(items) = target.items() {
            self.work.charge(items.len() * STEP)?;
            let turn = |(index, item)| (Value::size(index), value.element(item));
            return Ok(items.into_iter().enumerate().map(turn).collect());
        }
        let shown = print::display(&target, &self.work)?.text;
        Err(Stop::Error(format!("range can't iterate over {shown}")))
    }

    fn assign_turn(&mut self, pipe: &Pipe, key: Value, element: &Val) -> Result<(), Stop> {
        let key = Val {
            value: key,
            interface: None,
            ..element.clone()
        };
        let turn = match pipe.declared.as_slice() {
            [name] => vec![(name, element.clone())],
            [first, second] => vec![(first, key), (second, element.clone())],
            _ => Vec::new(),
        };
        for (name, value) in turn {
            self.set(name, value)?;
        }
        Ok(())
    }

    fn template(&mut self, dot: &Val, name: &'t str, pipe: Option<&'t Pipe>) -> Result<(), Stop> {
        let templates = self.templates;
        let Some(list) = templates.get(name) else {
            let name = super::quoted(name);
            return Err(Stop::Error(format!("template {name} not defined")));
        };
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Val::data(Value::Invalid),
        };
        self.work.enter()?;
        let outer = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let outer_name = std::mem::replace(&mut self.name, name);
        let place = self.place;
        self.list(&dot, list)?;
        self.place = place;
        self.name = outer_name;
        self.variables = outer;
        self.work.leave();
        Ok(())
    }

    pub(super) fn variable(&self, name: &str) -> Result<Val, Stop> {
        let found = self
            .variables
            .iter()
            .rev()
            .find(|(known, _)| *known == name);
        let found = found.map(|(_, value)| value.clone());
        found.ok_or_else(|| Stop::Error(format!("undefined variable: {name}")))
    }

    fn set(&mut self, name: &str, value: Val) -> Result<(), Stop> {
        let found = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name);
        let (_, slot) = found.ok_or_else(|| Stop::Error(format!("undefined variable: {name}")))?;
        *slot = value;
        Ok(())
    }

    pub(super) fn pipeline(&mut self, dot: &Val, pipe: &'t Pipe) -> Result<Val, Stop> {
        self.work.enter()?;
        self.at(pipe.pos, pipe);
        let mut value: Option<Val> = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value.take())?.unboxed());
        }
        let value = value.unwrap_or_else(|| Val::data(Value::Invalid));
        for name in &pipe.declared {
            if pipe.is_assignment {
                self.set(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        self.work.leave();
        Ok(value)
    }

    fn print(&mut self, value: &Val) -> Result<(), Stop> {
        let target = match value.interface {
            None => value.value.printable(),
            Some(_) => value.value.clone(),
        };
        if let Value::Invalid = target {
            return Ok(self.output.push("<no value>", Trust::Author, false)?);
        }
        if let Some(text) = target.text() {
            print::charge(text, &self.work)?;
            return Ok(self.output.push(text, value.trust, value.nils)?);
        }
        let printed = print::display(&target, &self.work)?;
        let holds_escaped = matches!(&target, Value::StrMap(map) if map.values().any(|v| matches!(v, Value::Escaped(_))));
        let trust = if holds_escaped {
            Trust::Escaped
        } else {
            value.trust
        };
        Ok(self.output.push(&printed.text, trust, printed.nils)?)
    }
}
