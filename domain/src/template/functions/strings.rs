//! Text.

use super::{Call, Function, Type, escaping, fixed, variadic};
use crate::template::value::{Kind, Value};
use crate::template::{print, quote};

const ANY: Type = Type::Any;
const STRING: Type = Type::String;
const INT: Type = Type::Int;

pub(super) static TABLE: &[Function] = &[
    fixed("upper", &[STRING], |call| {
        call.done(map_chars(call.text(0), upper))
    }),
    fixed("lower", &[STRING], |call| {
        call.done(map_chars(call.text(0), lower))
    }),
    fixed("title", &[STRING], |call| call.done(title(call.text(0)))),
    fixed("untitle", &[STRING], |call| {
        call.done(untitle(call.text(0)))
    }),
    fixed("swapcase", &[STRING], |call| {
        call.done(swap_case(call.text(0)))
    }),
    fixed("trim", &[STRING], |call| call.done(call.text(0).trim())),
    fixed("trimAll", &[STRING, STRING], trim_all),
    fixed("trimall", &[STRING, STRING], trim_all),
    fixed("trimSuffix", &[STRING, STRING], |call| {
        let text = call.text(1);
        call.done(text.strip_suffix(call.text(0)).unwrap_or(text))
    }),
    fixed("trimPrefix", &[STRING, STRING], |call| {
        let text = call.text(1);
        call.done(text.strip_prefix(call.text(0)).unwrap_or(text))
    }),
    fixed("trunc", &[INT, STRING], truncate),
    fixed("substr", &[INT, INT, STRING], substring),
    fixed("repeat", &[INT, STRING], repeat),
    fixed("replace", &[STRING, STRING, STRING], replace),
    fixed("hasPrefix", &[STRING, STRING], |call| {
        Ok(Value::Bool(call.text(1).starts_with(call.text(0))))
    }),
    fixed("hasSuffix", &[STRING, STRING], |call| {
        Ok(Value::Bool(call.text(1).ends_with(call.text(0))))
    }),
    fixed("nospace", &[STRING], |call| {
        call.done(
            call.text(0)
                .chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>(),
        )
    }),
    fixed("plural", &[STRING, STRING, INT], |call| {
        Ok(call.arg(usize::from(call.int(2) != 1)).clone())
    }),
    fixed("indent", &[INT, STRING], |call| indent(call, "")),
    fixed("nindent", &[INT, STRING], |call| indent(call, "\n")),
    escaping(variadic("quote", &[ANY], |call| {
        let quoted = texts(call)?
            .iter()
            .map(|text| quote::quoted(text, false))
            .collect::<Vec<_>>();
        call.done(quoted.join(" "))
    })),
    variadic("squote", &[ANY], |call| {
        let quoted = displayed(call)?
            .iter()
            .map(|text| format!("'{text}'"))
            .collect::<Vec<_>>();
        call.done(quoted.join(" "))
    }),
    variadic("cat", &[ANY], |call| {
        let text = displayed(call)?.join(" ");
        call.done(text)
    }),
    fixed("toString", &[ANY], |call| {
        let text = text_of(call, call.arg(0))?;
        call.done(text)
    }),
    fixed("join", &[STRING, ANY], |call| {
        let text = all_texts(call, call.arg(1))?.join(call.text(0));
        call.done(text)
    }),
    fixed("split", &[STRING, STRING], |call| split(call, None)),
    fixed("splitn", &[STRING, INT, STRING], |call| {
        let limit = call.int(1);
        split(call, Some(limit))
    }),
    fixed("splitList", &[STRING, STRING], |call| {
        let parts = parts(call.text(1), call.text(0), None);
        call.work.charge(call.text(1).len() + parts.len())?;
        Ok(Value::strings(parts))
    }),
    fixed("initials", &[STRING], |call| {
        call.done(
            call.text(0)
                .split_whitespace()
                .filter_map(|word| word.chars().next())
                .collect::<String>(),
        )
    }),
];

pub(super) fn upper(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

pub(super) fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => lower,
        (Some(lower), _) if c == '\u{130}' => lower,
        _ => c,
    }
}

/// Go changes the case of each character by itself.
fn map_chars(text: &str, map: fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

fn title(text: &str) -> String {
    let is_separator = |c: char| match c {
        c if c.is_ascii() => !(c.is_ascii_alphanumeric() || c == '_'),
        c => !c.is_alphanumeric() && c.is_whitespace(),
    };
    let mut previous = ' ';
    let titled = text.chars().map(|c| {
        let titled = if is_separator(previous) { upper(c) } else { c };
        previous = c;
        titled
    });
    titled.collect()
}

fn untitle(text: &str) -> String {
    let mut starts = true;
    let lowered = text.chars().map(|c| {
        let first = starts && !c.is_whitespace();
        starts = c.is_whitespace();
        if first { lower(c) } else { c }
    });
    lowered.collect()
}

fn swap_case(text: &str) -> String {
    let swapped = text
        .chars()
        .map(|c| if c.is_uppercase() { lower(c) } else { upper(c) });
    swapped.collect()
}

fn trim_all(call: &Call<'_>) -> Result<Value, String> {
    let cut: Vec<char> = call.text(0).chars().collect();
    call.done(call.text(1).trim_matches(cut.as_slice()))
}

/// A part of the text, in bytes. A character that is cut through becomes the replacement character.
fn slice(text: &str, start: usize, end: usize) -> Result<String, String> {
    let length = text.len();
    if end > length {
        return Err(format!(
            "runtime error: slice bounds out of range [:{end}] with length {length}"
        ));
    }
    if start > end {
        return Err(format!(
            "runtime error: slice bounds out of range [{start}:{end}]"
        ));
    }
    Ok(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned())
}

fn truncate(call: &Call<'_>) -> Result<Value, String> {
    let text = call.text(1);
    let count = call.int(0);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    match count {
        count if count < 0 && text.len() > size => {
            call.done(slice(text, text.len() - size, text.len())?)
        }
        count if count >= 0 && text.len() > size => call.done(slice(text, 0, size)?),
        _ => Ok(call.arg(1).clone()),
    }
}

fn substring(call: &Call<'_>) -> Result<Value, String> {
    let text = call.text(2);
    let (start, end) = (call.int(0), call.int(1));
    let out_of_range = |bound: i64| format!("runtime error: slice bounds out of range [:{bound}]");
    let end = match usize::try_from(end) {
        Ok(end) if start < 0 || end <= text.len() => end,
        Err(_) if start < 0 => return Err(out_of_range(end)),
        _ => text.len(),
    };
    let start = usize::try_from(start).unwrap_or(0);
    call.done(slice(text, start, end)?)
}

fn repeat(call: &Call<'_>) -> Result<Value, String> {
    let Ok(count) = usize::try_from(call.int(0)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    let text = call.text(1);
    call.work.charge(text.len().saturating_mul(count))?;
    Ok(Value::str(text.repeat(count)))
}

fn replace(call: &Call<'_>) -> Result<Value, String> {
    let (old, new, text) = (call.text(0), call.text(1), call.text(2));
    let count = text.matches(old).count();
    call.work
        .charge(text.len().saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::str(text.replace(old, new)))
}

fn indent(call: &Call<'_>, lead: &str) -> Result<Value, String> {
    let Ok(count) = usize::try_from(call.int(0)) else {
        return Err("strings: negative Repeat count".to_owned());
    };
    let text = call.text(1);
    let lines = text.matches('\n').count() + 1;
    call.work
        .charge(text.len().saturating_add(count.saturating_mul(lines)))?;
    let pad = " ".repeat(count);
    Ok(Value::str(format!(
        "{lead}{pad}{}",
        text.replace('\n', &format!("\n{pad}"))
    )))
}

/// The parts between separators; with a limit, the last part holds the rest.
pub(super) fn parts(text: &str, separator: &str, limit: Option<i64>) -> Vec<String> {
    let limit = match limit {
        Some(0) => return Vec::new(),
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    if separator.is_empty() {
        let mut parts: Vec<String> = Vec::new();
        for (at, c) in text.char_indices() {
            if parts.len() + 1 >= limit {
                parts.push(text[at..].to_owned());
                break;
            }
            parts.push(c.to_string());
        }
        return parts;
    }
    text.splitn(limit, separator).map(str::to_owned).collect()
}

fn split(call: &Call<'_>, limit: Option<i64>) -> Result<Value, String> {
    let text = call.text(call.args.len() - 1);
    let parts = parts(text, call.text(0), limit);
    call.work.charge(text.len() + parts.len())?;
    let member = |(index, part): (usize, String)| (format!("_{index}").into(), Value::str(part));
    Ok(Value::StrMap(std::rc::Rc::new(
        parts.into_iter().enumerate().map(member).collect(),
    )))
}

/// A value as sprig makes a text of it.
pub(super) fn text_of(call: &Call<'_>, value: &Value) -> Result<String, String> {
    if let Some(text) = value.text() {
        return Ok(text.to_string());
    }
    if let Value::Bytes(bytes) = value {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    let printed = print::display(value, call.work)?;
    call.nils.set(call.nils.get() || printed.nils);
    Ok(printed.text)
}

/// The texts of all arguments that are not nil.
fn texts(call: &Call<'_>) -> Result<Vec<String>, String> {
    let given = call.args.iter().filter(|value| !value.is_none());
    given.map(|value| text_of(call, value)).collect()
}

/// All arguments that are not nil, as `%v` prints them.
fn displayed(call: &Call<'_>) -> Result<Vec<String>, String> {
    let given = call.args.iter().filter(|value| !value.is_none());
    let display = |value: &Value| {
        let printed = print::display(value, call.work)?;
        call.nils.set(call.nils.get() || printed.nils);
        Ok(printed.text)
    };
    given.map(display).collect()
}

/// The texts of the elements of a list, or of the value that is no list.
pub(super) fn all_texts(call: &Call<'_>, value: &Value) -> Result<Vec<String>, String> {
    if value.is_none() {
        return Ok(Vec::new());
    }
    if value.kind() != Kind::Slice {
        return Ok(vec![text_of(call, value)?]);
    }
    let items = value.items().unwrap_or_default();
    call.work.charge(items.len())?;
    items
        .iter()
        .filter(|item| !item.is_none())
        .map(|item| text_of(call, item))
        .collect()
}
