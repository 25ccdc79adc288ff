//! Regular expressions, in Go's syntax.

use regex::{Regex, RegexBuilder};

use super::{Call, Function, Type, fixed};
use crate::template::value::Value;

const STRING: Type = Type::String;
const INT: Type = Type::Int;
/// The memory that one compiled expression may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

pub(super) static TABLE: &[Function] = &[
    fixed("regexMatch", &[STRING, STRING], |call| {
        Ok(Value::Bool(
            compile(call).is_ok_and(|regex| regex.is_match(call.text(1))),
        ))
    }),
    fixed("mustRegexMatch", &[STRING, STRING], |call| {
        Ok(Value::Bool(compile(call)?.is_match(call.text(1))))
    }),
    fixed("regexFind", &[STRING, STRING], |call| {
        find(call, &compiled(call)?)
    }),
    fixed("mustRegexFind", &[STRING, STRING], |call| {
        find(call, &compile(call)?)
    }),
    fixed("regexFindAll", &[STRING, STRING, INT], |call| {
        find_all(call, &compiled(call)?)
    }),
    fixed("mustRegexFindAll", &[STRING, STRING, INT], |call| {
        find_all(call, &compile(call)?)
    }),
    fixed("regexReplaceAll", &[STRING, STRING, STRING], |call| {
        replace(call, &compiled(call)?)
    }),
    fixed("mustRegexReplaceAll", &[STRING, STRING, STRING], |call| {
        replace(call, &compile(call)?)
    }),
    fixed(
        "regexReplaceAllLiteral",
        &[STRING, STRING, STRING],
        |call| replace_literally(call, &compiled(call)?),
    ),
    fixed(
        "mustRegexReplaceAllLiteral",
        &[STRING, STRING, STRING],
        |call| replace_literally(call, &compile(call)?),
    ),
    fixed("regexSplit", &[STRING, STRING, INT], |call| {
        split(call, &compiled(call)?)
    }),
    fixed("mustRegexSplit", &[STRING, STRING, INT], |call| {
        split(call, &compile(call)?)
    }),
    fixed("regexQuoteMeta", &[STRING], |call| {
        let mut quoted = String::new();
        for c in call.text(0).chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        call.done(quoted)
    }),
];

/// The expression of a function whose name begins with `must`.
fn compile(call: &Call<'_>) -> Result<Regex, String> {
    let source = call.text(0);
    // Compiling costs far more than the length of the source says.
    call.work
        .charge(10_000_usize.saturating_add(source.len() * 100))?;
    call.work.charge(call.text(1).len() * 10)?;
    RegexBuilder::new(&translated(source))
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let problem = if text.contains("unclosed group") {
                "missing closing )"
            } else if text.contains("unopened group") {
                "unexpected )"
            } else if text.contains("unclosed character class") {
                "missing closing ]"
            } else if text.contains("repetition operator missing expression") {
                "missing argument to repetition operator"
            } else if text.contains("size limit") {
                "expression too large"
            } else {
                "invalid or unsupported syntax"
            };
            format!("error parsing regexp: {problem}: `{source}`")
        })
}

/// The expression of a function that panics over a bad one.
fn compiled(call: &Call<'_>) -> Result<Regex, String> {
    compile(call).map_err(|error| format!("regexp: Compile(`{}`): {error}", call.text(0)))
}

/// Go's classes know ASCII only, it has `\Q...\E`, and no operations on classes.
fn translated(source: &str) -> String {
    let mut pattern = String::with_capacity(source.len());
    let mut in_class = false;
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().unwrap_or('\\');
                let (class, members) = match escaped {
                    'd' => ("[0-9]", "0-9"),
                    'w' => ("[0-9A-Za-z_]", "0-9A-Za-z_"),
                    's' => (r"[\t\n\x0C\r ]", r"\t\n\x0C\r "),
                    'D' => ("[^0-9]", "[^0-9]"),
                    'W' => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
                    'S' => (r"[^\t\n\x0C\r ]", r"[^\t\n\x0C\r ]"),
                    'b' if !in_class => (r"(?-u:\b)", ""),
                    'B' if !in_class => (r"(?-u:\B)", ""),
                    'Q' if !in_class => {
                        let rest: String = chars.by_ref().collect();
                        let (quoted, tail) = rest.split_once(r"\E").unwrap_or((&rest, ""));
                        pattern.push_str(&regex::escape(quoted));
                        pattern.push_str(&translated(tail));
                        return pattern;
                    }
                    escaped => {
                        pattern.extend(['\\', escaped]);
                        continue;
                    }
                };
                pattern.push_str(if in_class { members } else { class });
            }
            '[' if !in_class => {
                in_class = true;
                pattern.push('[');
                if chars.peek() == Some(&'^') {
                    pattern.extend(chars.next());
                }
                if chars.peek() == Some(&']') {
                    chars.next();
                    pattern.push_str(r"\]");
                }
            }
            '[' if chars.peek() == Some(&':') => {
                // A named class, like [:alpha:].
                pattern.push('[');
                for c in chars.by_ref() {
                    pattern.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' if in_class => pattern.extend(['\\', c]),
            ']' if in_class => {
                in_class = false;
                pattern.push(']');
            }
            c => pattern.push(c),
        }
    }
    pattern
}

fn find(call: &Call<'_>, regex: &Regex) -> Result<Value, String> {
    call.done(regex.find(call.text(1)).map_or("", |found| found.as_str()))
}

/// A limit: none where it is negative.
fn limit(call: &Call<'_>) -> usize {
    usize::try_from(call.int(2)).unwrap_or(usize::MAX)
}

fn find_all(call: &Call<'_>, regex: &Regex) -> Result<Value, String> {
    let found = regex.find_iter(call.text(1)).take(limit(call));
    let found: Vec<&str> = found.map(|found| found.as_str()).collect();
    call.work.charge(found.len() * 16)?;
    Ok(Value::strings(found))
}

fn replace(call: &Call<'_>, regex: &Regex) -> Result<Value, String> {
    let text = call.text(1);
    let mut replaced = String::new();
    let mut end = 0;
    for found in regex.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        let before = replaced.len();
        replaced.push_str(&text[end..whole.start()]);
        found.expand(call.text(2), &mut replaced);
        call.work.charge(replaced.len() - before)?;
        end = whole.end();
    }
    replaced.push_str(&text[end..]);
    call.done(replaced)
}

fn replace_literally(call: &Call<'_>, regex: &Regex) -> Result<Value, String> {
    let count = regex.find_iter(call.text(1)).count();
    call.work.charge(count.saturating_mul(call.text(2).len()))?;
    call.done(
        regex
            .replace_all(call.text(1), regex::NoExpand(call.text(2)))
            .into_owned(),
    )
}

fn split(call: &Call<'_>, regex: &Regex) -> Result<Value, String> {
    let (text, limit) = (call.text(1), limit(call));
    if limit == 0 {
        return Ok(Value::strings(Vec::<&str>::new()));
    }
    if !call.text(0).is_empty() && text.is_empty() {
        return Ok(Value::strings([""]));
    }
    let mut parts = Vec::new();
    let (mut start, mut end) = (0, 0);
    for found in regex.find_iter(text).take(limit) {
        if parts.len() == limit - 1 {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(&text[start..end]);
        }
        start = found.end();
    }
    if end != text.len() {
        parts.push(&text[start..]);
    }
    call.work.charge(parts.len() * 16)?;
    Ok(Value::strings(parts))
}
