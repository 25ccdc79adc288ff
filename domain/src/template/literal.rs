//! Constants as Go writes them: strings, characters and numbers.

use super::ast::Number;

/// The value of a quoted string, as `strconv.Unquote` finds it.
pub(super) fn unquote(source: &str) -> Result<String, String> {
    const INVALID: &str = "invalid syntax";
    let inner = source
        .get(1..source.len().saturating_sub(1))
        .unwrap_or_default();
    if source.starts_with('`') {
        return Ok(inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = unquote_char(rest, '"').ok_or(INVALID)?;
        match unit {
            Unit::Char(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = tail;
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

enum Unit {
    Char(char),
    Byte(u8),
}

fn unquote_char(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote || c == '\n' {
        return None;
    }
    if c != '\\' {
        return Some((Unit::Char(c), chars.as_str()));
    }
    let c = chars.next()?;
    let rest = chars.as_str();
    let simple = match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '\'' | '"' if c == quote => c,
        'x' => return byte(rest, 2, 16, rest),
        'u' => return code_point(rest, 4),
        'U' => return code_point(rest, 8),
        '0'..='7' => return byte(&text[1..], 3, 8, &text[1..]),
        _ => return None,
    };
    Some((Unit::Char(simple), rest))
}

fn byte<'a>(digits: &str, count: usize, radix: u32, rest: &'a str) -> Option<(Unit, &'a str)> {
    let value = u32::from_str_radix(plain(digits.get(..count)?)?, radix).ok()?;
    Some((Unit::Byte(u8::try_from(value).ok()?), &rest[count..]))
}

fn code_point(rest: &str, count: usize) -> Option<(Unit, &str)> {
    let value = u32::from_str_radix(plain(rest.get(..count)?)?, 16).ok()?;
    Some((Unit::Char(char::from_u32(value)?), &rest[count..]))
}

/// The digits, unless there is a sign, which Rust's parser would accept.
fn plain(digits: &str) -> Option<&str> {
    digits
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then_some(digits)
}

/// A character constant, its quotes included.
pub(super) fn character(source: &str) -> Result<Number, String> {
    let (unit, rest) = unquote_char(&source[1..], '\'').ok_or("invalid syntax")?;
    if rest != "'" {
        return Err(format!("malformed character constant: {source}"));
    }
    let value = match unit {
        Unit::Char(c) => u32::from(c),
        Unit::Byte(byte) => u32::from(byte),
    };
    Ok(Number {
        text: source.into(),
        int: Some(i64::from(value)),
        is_uint: true,
        float: Some(f64::from(value)),
        complex: None,
    })
}

pub(super) fn complex(source: &str) -> Result<Number, String> {
    let split = source
        .char_indices()
        .skip(1)
        .filter(|(at, c)| "+-".contains(*c) && !source[..*at].ends_with(['e', 'E', 'p', 'P']))
        .map(|(at, _)| at)
        .last();
    let parts = split.and_then(|at| {
        let imaginary = source[at..].strip_suffix('i')?;
        Some((float(&source[..at])?, float(imaginary)?))
    });
    let value = parts.ok_or("syntax error scanning complex number")?;
    Ok(Number {
        text: source.into(),
        complex: Some(value),
        ..simplified(value)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "as Go converts"
)]
fn simplified((real, imaginary): (f64, f64)) -> Number {
    if imaginary != 0.0 {
        return Number::default();
    }
    let int = Some(real as i64).filter(|int| (*int as f64).to_bits() == real.to_bits());
    Number {
        int,
        is_uint: int.is_some_and(|int| int >= 0),
        float: Some(real),
        ..Number::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "as Go converts"
)]
pub(super) fn number(source: &str) -> Result<Number, String> {
    let mut number = Number {
        text: source.into(),
        ..Number::default()
    };
    if let Some(imaginary) = source.strip_suffix('i').and_then(float) {
        let value = (0.0, imaginary);
        return Ok(Number {
            text: source.into(),
            complex: Some(value),
            ..simplified(value)
        });
    }
    if let Some((negative, magnitude)) = integer(source) {
        number.is_uint = !negative || magnitude == 0;
        number.int = if negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        };
        let float = magnitude as f64;
        number.float = Some(if negative { -float } else { float });
        if number.int.is_some() || number.is_uint {
            return Ok(number);
        }
    }
    if let Some(value) = float(source) {
        if !source.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", super::quoted(source)));
        }
        number.float = Some(value);
        let int = value as i64;
        number.int = (value.fract() == 0.0 && value.abs() < 1e19).then_some(int);
        number.is_uint = value >= 0.0 && number.int.is_some();
        return Ok(number);
    }
    Err(format!("illegal number syntax: {}", super::quoted(source)))
}

/// An integer constant: its sign and magnitude.
pub(super) fn integer(source: &str) -> Option<(bool, u64)> {
    let (negative, digits) = match source.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, source.strip_prefix('+').unwrap_or(source)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits, prefixed) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits, true)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits, true)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits, true)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..], true)
    } else {
        (10, lower.as_str(), false)
    };
    let digits = without_underscores(digits, prefixed)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((negative, u64::from_str_radix(&digits, radix).ok()?))
}

/// Underscores may stand between digits, and behind a prefix.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let misplaced = digits.ends_with('_')
        || digits.contains("__")
        || (digits.starts_with('_') && !prefixed)
        || digits.is_empty();
    (!misplaced).then(|| digits.replace('_', ""))
}

/// A decimal or hexadecimal floating-point constant.
pub(super) fn float(source: &str) -> Option<f64> {
    let lower = source.to_ascii_lowercase();
    let unsigned = lower.trim_start_matches(['+', '-']);
    if let Some(hex) = unsigned.strip_prefix("0x") {
        let value = hex_float(hex)?;
        return Some(if lower.starts_with('-') {
            -value
        } else {
            value
        });
    }
    let digits = lower.strip_prefix('+').unwrap_or(&lower);
    if !digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte))
    {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    value.is_finite().then_some(value)
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
fn hex_float(hex: &str) -> Option<f64> {
    let (mantissa, exponent) = hex.split_once('p')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let scale = exponent - 4 * i32::try_from(fraction.len()).ok()?;
    Some(value * 2_f64.powi(scale))
}
