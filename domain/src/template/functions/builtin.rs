//! The functions that Go's template package has itself.

use std::fmt::Write as _;

use super::{Call, Function, Type, escaping, fixed, variadic};
use crate::template::value::{Kind, Value};
use crate::template::{print, printf, quote};

const ANY: Type = Type::Any;

pub(super) static TABLE: &[Function] = &[
    // Both are evaluated without a call, so that they can stop early.
    variadic("and", &[ANY, ANY], |call| Ok(call.arg(0).clone())),
    variadic("or", &[ANY, ANY], |call| Ok(call.arg(0).clone())),
    variadic("call", &[ANY, ANY], callee),
    variadic("html", &[ANY], |call| {
        let text = operands(call)?;
        call.done(escape_html(&text))
    }),
    variadic("index", &[ANY, ANY], index),
    escaping(variadic("js", &[ANY], |call| {
        let text = operands(call)?;
        call.done(escape_js(&text))
    })),
    fixed("len", &[ANY], length),
    fixed("not", &[ANY], |call| Ok(Value::Bool(!call.arg(0).truth()))),
    variadic("print", &[ANY], |call| {
        Ok(call.printed(print::sprint(&call.args, call.work)?))
    }),
    variadic("printf", &[Type::String, ANY], |call| {
        Ok(call.printed(printf::sprintf(call.text(0), call.rest(1), call.work)?))
    }),
    variadic("println", &[ANY], |call| {
        Ok(call.printed(print::sprintln(&call.args, call.work)?))
    }),
    variadic("urlquery", &[ANY], |call| {
        let text = operands(call)?;
        call.done(escape_query(&text))
    }),
    variadic("eq", &[ANY, ANY], |call| equal(call).map(Value::Bool)),
    fixed("ne", &[ANY, ANY], |call| {
        equal(call).map(|equal| Value::Bool(!equal))
    }),
    fixed("lt", &[ANY, ANY], |call| {
        less(call.arg(0), call.arg(1)).map(Value::Bool)
    }),
    fixed("le", &[ANY, ANY], |call| at_most(call).map(Value::Bool)),
    fixed("gt", &[ANY, ANY], |call| {
        at_most(call).map(|at_most| Value::Bool(!at_most))
    }),
    fixed("ge", &[ANY, ANY], |call| {
        less(call.arg(0), call.arg(1)).map(|less| Value::Bool(!less))
    }),
];

/// No value is a function, so there is nothing to call.
fn callee(call: &Call<'_>) -> Result<Value, String> {
    let value = call.arg(0);
    if value.is_none() {
        return Err("call of nil".to_owned());
    }
    let shown = print::display(value, call.work)?.text;
    Err(format!(
        "non-function {shown} of type {}",
        value.type_name()
    ))
}

/// The text that the escaping functions work on.
fn operands(call: &Call<'_>) -> Result<String, String> {
    if let [value] = call.args.as_slice()
        && value.is_none()
    {
        return Ok("<no value>".to_owned());
    }
    let shown = call.args.iter().map(Value::printable);
    let printed = print::sprint(&shown.collect::<Vec<_>>(), call.work)?;
    call.nils.set(printed.nils);
    Ok(printed.text)
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn escape_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str(r"\\"),
            '\'' => escaped.push_str(r"\'"),
            '"' => escaped.push_str(r#"\""#),
            '<' => escaped.push_str(r"\u003C"),
            '>' => escaped.push_str(r"\u003E"),
            '&' => escaped.push_str(r"\u0026"),
            '=' => escaped.push_str(r"\u003D"),
            c if c < ' ' => _ = write!(escaped, "\\u{:04X}", u32::from(c)),
            c if c.is_ascii() || !quote::quoted(&c.to_string(), false).contains('\\') => {
                escaped.push(c);
            }
            c => _ = write!(escaped, "\\u{:04X}", u32::from(c)),
        }
    }
    escaped
}

/// `url.QueryEscape`.
pub(super) fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            b' ' => escaped.push('+'),
            byte => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}

fn length(call: &Call<'_>) -> Result<Value, String> {
    let Some(value) = call.arg(0).pointee().filter(|value| !value.is_none()) else {
        return Err("len of nil pointer".to_owned());
    };
    match value.len() {
        Some(length) => Ok(Value::size(length)),
        None => Err(format!("len of type {}", value.type_name())),
    }
}

fn index(call: &Call<'_>) -> Result<Value, String> {
    let mut item = call.arg(0).clone();
    if item.is_none() {
        return Err("index of untyped nil".to_owned());
    }
    for index in call.rest(1) {
        let Some(target) = item.pointee().filter(|target| !target.is_none()) else {
            return Err("index of nil pointer".to_owned());
        };
        item = match target.kind() {
            Kind::Slice | Kind::String => {
                let length = target.len().unwrap_or(0);
                let at = position(index, length)?;
                let found = match target.text() {
                    Some(text) => text.as_bytes().get(at).copied().map(Value::Byte),
                    None => target.items().and_then(|items| items.into_iter().nth(at)),
                };
                found.ok_or_else(|| match target.kind() {
                    Kind::String => "reflect: string index out of range".to_owned(),
                    _ => "reflect: slice index out of range".to_owned(),
                })?
            }
            Kind::Map => {
                let key = match index {
                    Value::Str(key) => key,
                    Value::Nil | Value::Invalid => {
                        return Err("value is nil; should be of type string".to_owned());
                    }
                    other => {
                        let kind = other.type_name();
                        return Err(format!("value has type {kind}; should be string"));
                    }
                };
                let zero = match target {
                    Value::Map(_) => Value::Nil,
                    _ => Value::str(""),
                };
                super::member(&target, key).unwrap_or(zero)
            }
            _ => return Err(format!("can't index item of type {}", target.type_name())),
        };
    }
    Ok(item)
}

fn position(index: &Value, length: usize) -> Result<usize, String> {
    let at = match index {
        Value::Nil | Value::Invalid => return Err("cannot index slice/array with nil".to_owned()),
        Value::Byte(byte) => i64::from(*byte),
        Value::Int(at) | Value::Int64(at) => *at,
        other => {
            return Err(format!(
                "cannot index slice/array with type {}",
                other.type_name()
            ));
        }
    };
    match usize::try_from(at) {
        Ok(index) if index <= length => Ok(index),
        _ => Err(format!("index out of range: {at}")),
    }
}

/// A value that compares as text: a string, or one that may be null and is not.
fn comparable(value: &Value, other: &Value) -> Value {
    match value {
        Value::StrPtr(Some(text)) if other.kind() == Kind::String => Value::Str(text.clone()),
        value => value.clone(),
    }
}

fn equal(call: &Call<'_>) -> Result<bool, String> {
    let (first, others) = (call.arg(0), call.rest(1));
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal_two(call, first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_two(call: &Call<'_>, first: &Value, second: &Value) -> Result<bool, String> {
    let (first, second) = (&comparable(first, second), &comparable(second, first));
    match (first, second) {
        (Value::StrPtr(first), Value::StrPtr(second)) => return Ok(first == second),
        (Value::StrPtr(None), other) | (other, Value::StrPtr(None))
            if other.kind() == Kind::String =>
        {
            return Ok(false);
        }
        _ => {}
    }
    let basic = |kind| {
        !matches!(
            kind,
            Kind::Invalid | Kind::Slice | Kind::Map | Kind::Struct | Kind::Ptr
        )
    };
    match (first.kind(), second.kind()) {
        (Kind::Int | Kind::Uint, Kind::Int | Kind::Uint) => Ok(whole(first) == whole(second)),
        (one, two) if basic(one) && one == two => Ok(match (first, second) {
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Complex(a, b), Value::Complex(c, d)) => (a, b) == (c, d),
            (Value::Whole(one), Value::Whole(two)) if one == two => true,
            _ if one == Kind::Float => first.as_f64() == second.as_f64(),
            _ => first.text() == second.text(),
        }),
        (one, two) if basic(one) || basic(two) => {
            if first.is_none() || second.is_none() {
                return Ok(false);
            }
            let (one, two) = (first.type_name(), second.type_name());
            Err(format!(
                "incompatible types for comparison: {one} and {two}"
            ))
        }
        (one, two) => {
            if first.is_nil() || second.is_nil() {
                return Ok(first.is_nil() == second.is_nil());
            }
            let (kind, other) = (first.type_name(), second.type_name());
            let shown = |value| {
                let list = [Value::clone(value)];
                printf::sprintf("%s", &list, call.work).map(|printed| printed.text)
            };
            match (first, second) {
                _ if one != two => {
                    let (one, two) = (shown(first)?, print::display(second, call.work)?.text);
                    Err(format!(
                        "non-comparable types {one}: {kind}, {other}: {two}"
                    ))
                }
                (Value::Ptr(Ok(one)), Value::Ptr(Ok(two))) => Ok(std::rc::Rc::ptr_eq(one, two)),
                _ => Err(format!("non-comparable type {}: {other}", shown(second)?)),
            }
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Byte(byte) => Some(i64::from(*byte)),
        value => value.as_int(),
    }
}

fn less(first: &Value, second: &Value) -> Result<bool, String> {
    const INVALID: &str = "invalid type for comparison";
    let has_order = |value: &Value| {
        matches!(
            value.kind(),
            Kind::Bool | Kind::Int | Kind::Uint | Kind::Float | Kind::Complex | Kind::String
        )
    };
    if !has_order(first) || !has_order(second) {
        return Err(INVALID.to_owned());
    }
    match (first.kind(), second.kind()) {
        (Kind::Int | Kind::Uint, Kind::Int | Kind::Uint) => Ok(whole(first) < whole(second)),
        (Kind::Float, Kind::Float) => Ok(first.as_f64() < second.as_f64()),
        (Kind::String, Kind::String) => Ok(first.text() < second.text()),
        (one, two) if one == two => Err(INVALID.to_owned()),
        _ => {
            let (one, two) = (first.type_name(), second.type_name());
            Err(format!(
                "incompatible types for comparison: {one} and {two}"
            ))
        }
    }
}

fn at_most(call: &Call<'_>) -> Result<bool, String> {
    let (first, second) = (call.arg(0), call.arg(1));
    Ok(less(first, second)? || equal_two(call, first, second)?)
}
