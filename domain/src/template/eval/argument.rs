//! What may be given for a parameter of a function.

use super::super::ast::{Expr, Number, Term};
use super::super::exec::{ANY, Stop, Val};
use super::super::functions::{Function, Type};
use super::super::value::Value;
use super::{Args, error};

pub(super) fn check_count(function: &Function, args: &Args<'_>) -> Result<(), Stop> {
    let words = args.words.len();
    let got = words + usize::from(args.piped.is_some());
    let name = function.name;
    let wanted = function.parameters.len();
    if function.variadic {
        let wanted = wanted - 1;
        if got < wanted {
            return error(format!(
                "wrong number of args for {name}: want at least {wanted} got {words}"
            ));
        }
    } else if got != wanted {
        return error(format!(
            "wrong number of args for {name}: want {wanted} got {got}"
        ));
    }
    Ok(())
}

/// The value of a number constant where nothing says what type it must have.
pub(super) fn ideal(number: &Number) -> Result<Value, Stop> {
    let text = &*number.text;
    if let Some((real, imaginary)) = number.complex {
        return Ok(Value::Complex(real, imaginary));
    }
    let is_hex_integer = text.to_ascii_lowercase().starts_with("0x") && !text.contains(['p', 'P']);
    let looks_float = text.contains(['.', 'e', 'E', 'p', 'P']);
    match number.float {
        Some(float) if looks_float && !is_hex_integer && !text.starts_with('\'') => {
            return Ok(Value::Float(float));
        }
        _ => {}
    }
    match number.int {
        Some(int) => Ok(Value::Int(int)),
        None => error(format!("{text} overflows int")),
    }
}

pub(super) fn constant_argument(expr: &Expr, kind: Type) -> Result<Value, Stop> {
    let wanted = match (kind, &expr.term) {
        (Type::Any | Type::Bool, Term::Bool(value)) => {
            return Ok(Value::Bool(*value));
        }
        (Type::Any, Term::Number(number)) => return ideal(number),
        (Type::Any | Type::String, Term::Text(text, _)) => return Ok(Value::str(&**text)),
        (Type::Int, Term::Number(Number { int: Some(int), .. })) => return Ok(Value::Int(*int)),
        (
            Type::Float,
            Term::Number(Number {
                float: Some(float), ..
            }),
        ) => {
            return Ok(Value::Float(*float));
        }
        (Type::String, _) => "string",
        (Type::Int, _) => "integer",
        (Type::Float, _) => "float",
        (Type::Bool, _) => "bool",
        (kind, _) => {
            let kind = kind.name();
            return error(format!("can't handle {expr} for arg of type {kind}"));
        }
    };
    error(format!("expected {wanted}; found {expr}"))
}

/// A value for a parameter of this type, as Go's assignability has it.
pub(super) fn validate(value: Val, kind: Type) -> Result<Val, Stop> {
    if let Value::Invalid = value.value {
        return match kind.zero() {
            Some(zero) => Ok(Val {
                value: zero,
                ..value
            }),
            None => error(format!("invalid value; expected {}", kind.name())),
        };
    }
    if kind.accepts(&value.value) {
        let interface = value.interface.filter(|interface| *interface != ANY);
        return Ok(Val { interface, ..value });
    }
    match (&value.value, kind) {
        (Value::StrPtr(Some(text)), Type::String) => Ok(Val {
            value: Value::Str(text.clone()),
            ..value
        }),
        (Value::StrPtr(None), Type::String) => error(format!(
            "dereference of nil pointer of type {}",
            kind.name()
        )),
        _ => {
            let got = match value.value {
                Value::Nil => ANY.to_owned(),
                ref value => value.type_name(),
            };
            error(format!(
                "wrong type for value; expected {}; got {got}",
                kind.name()
            ))
        }
    }
}
