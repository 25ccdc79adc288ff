//! Evaluates commands: fields, methods and calls of functions, with Go's rules for arguments.

mod argument;

use argument::{check_count, constant_argument, ideal, validate};

use super::ast::{Command, Expr, Term};
use super::exec::{State, Stop, Val};
use super::functions::{self, Call, Function, Type};
use super::output::Trust;
use super::value::{Struct, Value};

/// The words of a command behind the first, and what was piped into it.
struct Args<'t> {
    words: &'t [Expr],
    piped: Option<Val>,
}

impl Args<'_> {
    const NONE: Args<'static> = Args {
        words: &[],
        piped: None,
    };

    const fn is_empty(&self) -> bool {
        self.words.is_empty() && self.piped.is_none()
    }
}

fn error<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Error(message.into()))
}

/// The functions that put one of their arguments into the text they make.
const INSERTING: [&str; 13] = [
    "replace",
    "regexReplaceAll",
    "mustRegexReplaceAll",
    "regexReplaceAllLiteral",
    "mustRegexReplaceAllLiteral",
    "printf",
    "print",
    "println",
    "cat",
    "join",
    "default",
    "coalesce",
    "ternary",
];

impl<'t> State<'t> {
    pub(super) fn command(
        &mut self,
        dot: &Val,
        command: &'t Command,
        piped: Option<Val>,
    ) -> Result<Val, Stop> {
        let Some((first, words)) = command.args.split_first() else {
            return error("empty command");
        };
        let args = Args { words, piped };
        match &first.term {
            Term::Field(names) => {
                self.at_expr(first);
                self.fields((dot.clone(), names), &args)
            }
            Term::Chain(base, names) => self.chain(dot, (first, base, names), &args),
            Term::Function(name) => {
                self.at_expr(first);
                let outcome = self.function(dot, name, args);
                if let Err(Failure::Call(_)) = &outcome {
                    self.at(command.pos, command);
                }
                outcome.map_err(Failure::into_stop)
            }
            Term::Pipe(pipe) => {
                not_a_function(first, &args)?;
                self.pipeline(dot, pipe)
            }
            Term::Variable(names) => {
                self.at_expr(first);
                self.variable_fields(first, names, &args)
            }
            _ => {
                self.at_expr(first);
                not_a_function(first, &args)?;
                constant(dot, first)
            }
        }
    }

    fn chain(
        &mut self,
        dot: &Val,
        (expr, base, names): (&'t Expr, &'t Expr, &'t [Box<str>]),
        args: &Args<'t>,
    ) -> Result<Val, Stop> {
        self.at_expr(expr);
        let value = self.any_argument(dot, base)?;
        self.fields((value, names), args)
    }

    fn variable_fields(
        &mut self,
        expr: &'t Expr,
        names: &'t [Box<str>],
        args: &Args<'t>,
    ) -> Result<Val, Stop> {
        let Some((name, fields)) = names.split_first() else {
            return error("empty variable");
        };
        let value = self.variable(name)?;
        if fields.is_empty() {
            not_a_function(expr, args)?;
            return Ok(value);
        }
        self.fields((value, fields), args)
    }

    fn fields(
        &mut self,
        (receiver, names): (Val, &'t [Box<str>]),
        args: &Args<'t>,
    ) -> Result<Val, Stop> {
        let Some((last, names)) = names.split_last() else {
            return Ok(receiver);
        };
        let mut receiver = receiver;
        for name in names {
            receiver = self.field((receiver, name), &Args::NONE)?;
        }
        self.field((receiver, last), args)
    }

    fn field(&mut self, (receiver, name): (Val, &'t str), args: &Args<'t>) -> Result<Val, Stop> {
        self.work.step()?;
        if let Value::Invalid = receiver.value {
            return Ok(Val::data(Value::Invalid));
        }
        let target = match receiver.value.pointee() {
            Some(Value::Nil) => {
                let kind = receiver.type_name();
                return error(format!("nil pointer evaluating {kind}.{name}"));
            }
            Some(target) => target,
            None => {
                let known = match &receiver.value {
                    Value::Ptr(Err(kind)) => super::data::has_field(kind, name),
                    _ => true,
                };
                let kind = receiver.type_name();
                return if known {
                    error(format!("nil pointer evaluating {kind}.{name}"))
                } else {
                    error(format!("can't evaluate field {name} in type {kind}"))
                };
            }
        };
        match &target {
            Value::Struct(value) => {
                if let Some(value) = super::data::method(value, name) {
                    return method_result(value, name, args);
                }
                struct_field(&receiver, (value, name), args)
            }
            Value::Time(time) if name == "MarshalJSON" => {
                let text = time.json();
                method_result(Ok(Value::Bytes(text.into_bytes().into())), name, args).map(|value| {
                    Val {
                        trust: Trust::Escaped,
                        ..value
                    }
                })
            }
            Value::Map(_) | Value::StrMap(_) | Value::NilStrMap => {
                if !args.is_empty() {
                    return error(format!("{name} is not a method but has arguments"));
                }
                let missing = match target {
                    Value::Map(_) => Value::Nil,
                    _ => Value::str(""),
                };
                let value = functions::member(&target, name).unwrap_or(missing);
                Ok(Val {
                    value: target,
                    ..receiver
                }
                .element(value))
            }
            _ => {
                let kind = receiver.type_name();
                error(format!("can't evaluate field {name} in type {kind}"))
            }
        }
    }

    fn function(&mut self, dot: &Val, name: &str, args: Args<'t>) -> Result<Val, Failure> {
        let Some(function) = functions::find(name) else {
            return Err(Stop::Error(format!("{name:?} is not a defined function")).into());
        };
        check_count(function, &args)?;
        if matches!(name, "and" | "or") {
            return Ok(self.short_circuit(dot, name == "or", args)?);
        }
        let mut values = Vec::with_capacity(args.words.len() + 1);
        for (index, word) in args.words.iter().enumerate() {
            values.push(self.argument(dot, function.parameter(index), word)?);
        }
        if let Some(piped) = args.piped {
            values.push(validate(piped, function.parameter(values.len()))?);
        }
        self.call(function, values)
    }

    fn call(&mut self, function: &Function, args: Vec<Val>) -> Result<Val, Failure> {
        let mut trust = if function.escapes {
            Trust::Escaped
        } else {
            Trust::Author
        };
        let mut nils = false;
        for arg in &args {
            trust = match (trust, arg.trust) {
                (Trust::Escaped, _) | (_, Trust::Escaped) => Trust::Escaped,
                (trust, given) => trust.max(given),
            };
            nils |= arg.nils || arg.value.is_nil();
        }
        // A template that puts a backslash into a text escapes it by hand.
        let by_hand = INSERTING.contains(&function.name)
            && args.iter().any(|arg| {
                let text = arg.value.text().filter(|_| arg.trust == Trust::Author);
                text.is_some_and(|text| text.contains('\\'))
            });
        if trust == Trust::Data && by_hand {
            trust = Trust::Escaped;
        }
        let call = Call {
            args: args.into_iter().map(|arg| plain(arg.value)).collect(),
            work: &self.work,
            nils: std::cell::Cell::new(false),
        };
        let value = self.run(function, &call)?;
        let says_nil = call.nils.get() || (nils && value.text().is_some());
        let nils = says_nil && !function.escapes;
        Ok(Val {
            value,
            interface: None,
            trust,
            nils,
        })
    }

    fn run(&self, function: &Function, call: &Call<'_>) -> Result<Value, Failure> {
        self.work.enter().map_err(Stop::Error)?;
        let depth = self.work.depth();
        let outcome = (function.run)(call).and_then(|value| self.work.check().map(|()| value));
        self.work.set_depth(depth);
        self.work.leave();
        let name = function.name;
        outcome.map_err(|message| Failure::Call(format!("error calling {name}: {message}")))
    }

    fn short_circuit(&mut self, dot: &Val, is_or: bool, args: Args<'t>) -> Result<Val, Stop> {
        let mut value = Val::data(Value::Invalid);
        for word in args.words {
            value = self.argument(dot, Type::Any, word)?;
            if value.value.truth() == is_or {
                return Ok(value);
            }
        }
        match args.piped {
            Some(piped) => validate(piped, Type::Any),
            None => Ok(value),
        }
    }

    /// An argument for a parameter of this type.
    fn argument(&mut self, dot: &Val, kind: Type, expr: &'t Expr) -> Result<Val, Stop> {
        self.at_expr(expr);
        match &expr.term {
            Term::Nil => match kind.zero() {
                Some(value) => Ok(Val::author(value)),
                None => error(format!("cannot assign nil to {}", kind.name())),
            },
            Term::Bool(_) | Term::Number(_) | Term::Text(..) => {
                constant_argument(expr, kind).map(Val::author)
            }
            _ => {
                let value = self.any_argument(dot, expr)?;
                validate(value, kind)
            }
        }
    }

    fn any_argument(&mut self, dot: &Val, expr: &'t Expr) -> Result<Val, Stop> {
        self.at_expr(expr);
        match &expr.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => error(format!("indirection through explicit nil in {expr}")),
            Term::Field(names) => self.fields((dot.clone(), names), &Args::NONE),
            Term::Variable(names) => self.variable_fields(expr, names, &Args::NONE),
            Term::Pipe(pipe) => self.pipeline(dot, pipe),
            Term::Function(name) => {
                let outcome = self.function(dot, name, Args::NONE);
                if let Err(Failure::Call(_)) = &outcome {
                    self.at_expr(expr);
                }
                outcome.map_err(Failure::into_stop)
            }
            Term::Chain(base, names) => self.chain(dot, (expr, base, names), &Args::NONE),
            _ => constant(dot, expr),
        }
    }
}

/// A failure of a call, which is about the whole command, or of something within it.
enum Failure {
    Call(String),
    Inner(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Inner(stop)
    }
}

impl Failure {
    fn into_stop(self) -> Stop {
        match self {
            Self::Call(message) => Stop::Error(message),
            Self::Inner(stop) => stop,
        }
    }
}

/// Functions do not see how a text came to be escaped.
fn plain(value: Value) -> Value {
    match value {
        Value::Escaped(text) => Value::Str(text),
        value => value,
    }
}

fn literal(text: &str) -> Val {
    Val::author(Value::str(text))
}

fn not_a_function(expr: &Expr, args: &Args<'_>) -> Result<(), Stop> {
    if args.is_empty() {
        return Ok(());
    }
    error(format!("can't give argument to non-function {expr}"))
}

fn method_result(value: Result<Value, String>, name: &str, args: &Args<'_>) -> Result<Val, Stop> {
    let got = args.words.len() + usize::from(args.piped.is_some());
    if got > 0 {
        return error(format!("wrong number of args for {name}: want 0 got {got}"));
    }
    match value {
        Ok(value) => Ok(Val::data(value)),
        Err(message) => error(message),
    }
}

fn constant(dot: &Val, expr: &Expr) -> Result<Val, Stop> {
    match &expr.term {
        Term::Dot => Ok(dot.clone()),
        Term::Bool(value) => Ok(Val::author(Value::Bool(*value))),
        Term::Number(number) => Ok(Val::author(ideal(number)?)),
        Term::Text(text, _) => Ok(literal(text)),
        _ => error("nil is not a command"),
    }
}

fn struct_field(
    receiver: &Val,
    (value, name): (&Struct, &str),
    args: &Args<'_>,
) -> Result<Val, Stop> {
    match value.field(name) {
        None => {
            let kind = receiver.type_name();
            error(format!("can't evaluate field {name} in type {kind}"))
        }
        Some(Err(message)) => error(message),
        Some(Ok(_)) if !args.is_empty() => error(format!(
            "{name} has arguments but cannot be invoked as function"
        )),
        Some(Ok(field)) => {
            let mut value = receiver.element(field.value.clone());
            value.interface = field.interface;
            Ok(value)
        }
    }
}
