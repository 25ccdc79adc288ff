//! JSON, encodings and digests.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest as _;

use super::{Call, Function, Type, escaping, fixed};
use crate::template::float;
use crate::template::json::{self, Json};
use crate::template::value::{Field, Value};
use crate::template::work::STEP;

const ANY: Type = Type::Any;
const STRING: Type = Type::String;

pub(super) static TABLE: &[Function] = &[
    fixed("fromJson", &[STRING], |call| {
        Ok(from_json(call).unwrap_or(Value::Nil))
    }),
    fixed("mustFromJson", &[STRING], from_json),
    escaping(fixed("toJson", &[ANY], |call| {
        to_json(call, Style::Html).or_else(|_| call.done(""))
    })),
    escaping(fixed("mustToJson", &[ANY], |call| {
        to_json(call, Style::Html)
    })),
    escaping(fixed("toRawJson", &[ANY], |call| to_json(call, Style::Raw))),
    escaping(fixed("mustToRawJson", &[ANY], |call| {
        to_json(call, Style::Raw)
    })),
    escaping(fixed("toPrettyJson", &[ANY], |call| {
        to_json(call, Style::Pretty).or_else(|_| call.done(""))
    })),
    escaping(fixed("mustToPrettyJson", &[ANY], |call| {
        to_json(call, Style::Pretty)
    })),
    fixed("b64enc", &[STRING], |call| {
        call.done(STANDARD.encode(call.text(0)))
    }),
    fixed("b64dec", &[STRING], |call| {
        call.done(base64_decode(call.text(0)))
    }),
    fixed("b32enc", &[STRING], |call| {
        call.done(base32_encode(call.text(0).as_bytes()))
    }),
    fixed("b32dec", &[STRING], |call| {
        call.done(base32_decode(call.text(0)))
    }),
    fixed("sha1sum", &[STRING], |call| {
        call.done(hex(&sha1::Sha1::digest(call.text(0))))
    }),
    fixed("sha256sum", &[STRING], |call| {
        call.done(hex(&sha2::Sha256::digest(call.text(0))))
    }),
    fixed("adler32sum", &[STRING], |call| {
        call.done(adler32(call.text(0)).to_string())
    }),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Html,
    Raw,
    Pretty,
}

fn from_json(call: &Call<'_>) -> Result<Value, String> {
    call.work.charge(call.text(0).len())?;
    json::parse(call.text(0)).map(|json| Value::from_json(&json))
}

fn to_json(call: &Call<'_>, style: Style) -> Result<Value, String> {
    let mut text = String::new();
    encode(call, (call.arg(0), &mut text), style)?;
    if style == Style::Pretty {
        let pretty = json::parse(&text).map_or_else(|_| text.clone(), |json| indented(&json, 0));
        return call.done(pretty);
    }
    call.done(text)
}

/// A value as JSON in Go's form, with the members of objects sorted.
pub(crate) fn canonical_json(value: &Value) -> Result<String, String> {
    let work = crate::template::work::Work::default();
    let call = Call {
        args: Vec::new(),
        work: &work,
        nils: std::cell::Cell::new(false),
    };
    let mut text = String::new();
    encode(&call, (value, &mut text), Style::Html)?;
    Ok(text)
}

fn encode(call: &Call<'_>, of: (&Value, &mut String), style: Style) -> Result<(), String> {
    let (value, out) = of;
    let escapes = style != Style::Raw;
    call.work.charge(STEP + value.len().unwrap_or(0))?;
    call.work.enter()?;
    match value {
        Value::Invalid
        | Value::Nil
        | Value::NilStrMap
        | Value::StrPtr(None)
        | Value::Ptr(Err(_)) => {
            out.push_str("null");
        }
        Value::Bool(flag) => out.push_str(&flag.to_string()),
        Value::Int(number) | Value::Int64(number) => out.push_str(&number.to_string()),
        Value::Byte(byte) => out.push_str(&byte.to_string()),
        Value::Whole(text) => out.push_str(text),
        Value::Float(number) if number.is_finite() => out.push_str(&float::json(*number)),
        Value::Float(_) | Value::Complex(..) => {
            let kind = value.type_name();
            return Err(format!("json: unsupported type: {kind}"));
        }
        Value::Str(text) | Value::Escaped(text) | Value::Named(_, text) => {
            out.push_str(&json_string(text, escapes));
        }
        Value::StrPtr(Some(text)) => out.push_str(&json_string(text, escapes)),
        Value::Bytes(bytes) => {
            out.push_str(&json_string(&STANDARD.encode(bytes), false));
        }
        Value::Raw(text) => match json::parse(text) {
            Ok(_) => out.push_str(&json::compacted(text, escapes)),
            Err(error) => {
                return Err(format!(
                    "json: error calling MarshalJSON for type json.RawMessage: {error}"
                ));
            }
        },
        Value::Time(time) => out.push_str(&time.json()),
        Value::Struct(value) | Value::Ptr(Ok(value)) => {
            let mut fields = Vec::new();
            flatten(&value.fields, &mut fields);
            let members = fields
                .into_iter()
                .map(|field| (field.json.to_owned(), field.value.clone()));
            encode_members(call, (members.collect(), out), style)?;
        }
        value => encode_parts(call, (value, out), style)?,
    }
    call.work.leave();
    Ok(())
}

/// A map or a slice.
fn encode_parts(call: &Call<'_>, of: (&Value, &mut String), style: Style) -> Result<(), String> {
    let (value, out) = of;
    if let Some(members) = value.members() {
        let members = members
            .into_iter()
            .map(|(key, value)| (key.to_string(), value));
        return encode_members(call, (members.collect(), out), style);
    }
    out.push('[');
    for (index, item) in value.items().unwrap_or_default().iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        encode(call, (item, out), style)?;
    }
    out.push(']');
    Ok(())
}

fn encode_members(
    call: &Call<'_>,
    of: (Vec<(String, Value)>, &mut String),
    style: Style,
) -> Result<(), String> {
    let (members, out) = of;
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&json_string(name, style != Style::Raw));
        out.push(':');
        encode(call, (value, out), style)?;
    }
    out.push('}');
    Ok(())
}

/// The fields that Go's encoder sees: those of embedded structs stand among the others.
fn flatten<'a>(fields: &'a [Field], out: &mut Vec<&'a Field>) {
    for field in fields {
        match &field.value {
            Value::Ptr(Ok(value)) | Value::Struct(value) if field.embedded => {
                flatten(&value.fields, out);
            }
            _ if field.embedded => {}
            _ => out.push(field),
        }
    }
}

/// A JSON string; with `<`, `>` and `&` escaped as Go does it unless told not to.
pub(crate) fn json_string(text: &str, escapes_html: bool) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' if escapes_html => _ = write!(json, "\\u{:04x}", u32::from(c)),
            '\u{2028}' | '\u{2029}' => _ = write!(json, "\\u{:04x}", u32::from(c)),
            c if c < ' ' => _ = write!(json, "\\u{:04x}", u32::from(c)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

fn indented(value: &Json<'_>, depth: usize) -> String {
    let pad = "  ".repeat(depth + 1);
    let end = "  ".repeat(depth);
    match value {
        Json::Array(items) if !items.is_empty() => {
            let items: Vec<_> = items
                .iter()
                .map(|item| format!("{pad}{}", indented(item, depth + 1)))
                .collect();
            format!("[\n{}\n{end}]", items.join(",\n"))
        }
        Json::Object(members) if !members.is_empty() => {
            let member = |(name, value): &(Cow<'_, str>, Json<'_>)| {
                format!(
                    "{pad}{}: {}",
                    json_string(name, true),
                    indented(value, depth + 1)
                )
            };
            let members: Vec<_> = members.iter().map(member).collect();
            format!("{{\n{}\n{end}}}", members.join(",\n"))
        }
        Json::String(text) => json_string(text, true),
        value => value.to_string(),
    }
}

/// What is no base64 gives the error as the result, as in sprig.
fn base64_decode(text: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    if let Some(at) = text.bytes().position(|byte| !is_digit(byte)) {
        return format!("illegal base64 data at input byte {at}");
    }
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&plain) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            format!("illegal base64 data at input byte {at}")
        }
        Err(_) => format!("illegal base64 data at input byte {}", plain.len() / 4 * 4),
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    for group in bytes.chunks(5) {
        let mut block = [0; 5];
        block[..group.len()].copy_from_slice(group);
        let bits = block
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digits = (group.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * index) & 31).unwrap_or(0);
            encoded.push(if index < digits {
                char::from(BASE32[digit])
            } else {
                '='
            });
        }
    }
    encoded
}

fn base32_decode(text: &str) -> String {
    let plain: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let data = plain
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |last| last + 1);
    let illegal = |at: usize| format!("illegal base32 data at input byte {at}");
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for (at, byte) in plain[..data].iter().enumerate() {
        let Some(digit) = BASE32.iter().position(|known| known == byte) else {
            return illegal(at);
        };
        bits = bits << 5 | u32::try_from(digit).unwrap_or(0);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    if !plain.len().is_multiple_of(8) || plain.len() - data > 6 {
        return illegal(plain.len());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn adler32(text: &str) -> u32 {
    let step = |(low, high): (u32, u32), byte: u8| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    };
    let (low, high) = text.bytes().fold((1, 0), step);
    high << 16 | low
}
