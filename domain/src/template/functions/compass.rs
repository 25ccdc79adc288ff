//! The functions that Compass adds, or puts in the place of the library's.

use super::encoding;
use super::{Call, Function, Type, escaping, fixed, variadic};
use crate::template::json::{self, Json};
use crate::template::value::Value;
use crate::template::{float, print, quote};

pub(super) static TABLE: &[Function] = &[
    fixed("contains", &[Type::Raw, Type::String], |call| {
        Ok(Value::Bool(raw(call.arg(0)).contains(call.text(1))))
    }),
    escaping(fixed("Join", &[Type::Strings], |call| match call.arg(0) {
        Value::Strings(items) if !items.is_empty() => {
            call.done(format!("\"{}\"", items.join("\", \"")))
        }
        _ => call.done(""),
    })),
    escaping(fixed("copy", &[Type::Raw, Type::String], |call| {
        let text = raw(call.arg(0));
        call.done(copy(&text, call.text(1)))
    })),
    escaping(fixed(
        "updateAndCopy",
        &[Type::Raw, Type::String, Type::Strings],
        update,
    )),
    variadic("mkslice", &[Type::String], |call| {
        Ok(Value::strings(
            call.args.iter().filter_map(Value::text).cloned(),
        ))
    }),
    fixed("stringify", &[Type::Any], |call| match call.arg(0) {
        Value::Str(text) | Value::StrPtr(Some(text)) => Ok(Value::Str(text.clone())),
        Value::StrPtr(None) => call.done(""),
        Value::Bytes(bytes) => call.done(String::from_utf8_lossy(bytes)),
        value => Ok(call.printed(print::display(value, call.work)?)),
    }),
];

fn raw(value: &Value) -> String {
    match value {
        Value::Raw(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn copy(text: &str, path: &str) -> String {
    if matches!(path, "." | "") {
        return text.to_owned();
    }
    json::find(text, path)
        .map(|found| shown(&found))
        .unwrap_or_default()
}

/// What was found, as text: a string without its quotes, a null as nothing.
fn shown(found: &str) -> String {
    match json::parse(found) {
        Ok(Json::Null) => String::new(),
        Ok(Json::Number(text)) if text.contains(['.', 'e', 'E']) => {
            let number = text.parse().unwrap_or(f64::NAN);
            float::format(number, 'f', None)
        }
        Ok(Json::String(text)) => text.into_owned(),
        Ok(Json::Number(text)) => text.to_owned(),
        _ => found.to_owned(),
    }
}

fn update(call: &Call<'_>) -> Result<Value, String> {
    let mut content = copy(&raw(call.arg(0)), call.text(1));
    let entries = match call.arg(2) {
        Value::Strings(entries) => entries.clone(),
        _ => return call.done(""),
    };
    for entry in entries.iter() {
        call.work.charge(content.len() + entry.len())?;
        let part = |name| {
            json::find(entry, name)
                .map(|found| shown(&found))
                .unwrap_or_default()
        };
        let (key, value) = (part("key"), part("value"));
        let value = match json::parse(&value) {
            Ok(_) => value,
            Err(_) => encoding::json_string(&value, true),
        };
        match json::set(&content, &key, &value) {
            Some(changed) => content = changed,
            None => return call.done(""),
        }
    }
    call.done(quote::quoted(&content, false))
}
