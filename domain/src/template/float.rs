//! Floating-point numbers as Go's `strconv` writes them.

/// The shortest digits that read back as the number, and the exponent of the first one.
fn shortest(value: f64) -> (String, i32) {
    decimal(&format!("{:e}", value.abs()))
}

/// The digits of the number, this many, and the exponent of the first one.
fn rounded(value: f64, digits: usize) -> (String, i32) {
    decimal(&format!("{:.*e}", digits.saturating_sub(1), value.abs()))
}

fn decimal(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `strconv.FormatFloat` for the formats e, f, g and x.
pub(super) fn format(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return if sign.is_empty() {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    let digits = match verb {
        'e' | 'E' => {
            let (digits, exponent) = match precision {
                Some(precision) => rounded(value, precision + 1),
                None => shortest(value),
            };
            scientific(&digits, exponent)
        }
        'f' | 'F' => match precision {
            Some(precision) => format!("{:.*}", precision, value.abs()),
            None => format!("{}", value.abs()),
        },
        'x' | 'X' => hexadecimal(value.abs()),
        _ => general(value, precision),
    };
    let text = format!("{sign}{digits}");
    if verb.is_ascii_uppercase() {
        text.to_ascii_uppercase()
    } else {
        text
    }
}

fn scientific(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{dot}{rest}e{sign}{:02}", exponent.abs())
}

fn general(value: f64, precision: Option<usize>) -> String {
    let (digits, exponent, limit) = match precision {
        None => {
            let (digits, exponent) = shortest(value);
            (digits, exponent, 6)
        }
        Some(precision) => {
            let wanted = precision.max(1);
            let (digits, exponent) = rounded(value, wanted);
            let kept = digits.trim_end_matches('0');
            let digits = if kept.is_empty() {
                "0".to_owned()
            } else {
                kept.to_owned()
            };
            let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
            let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
            let limit = if wanted > length && length > exponent {
                length
            } else {
                wanted
            };
            (digits, exponent, limit)
        }
    };
    if exponent < -4 || exponent >= limit {
        return scientific(&digits, exponent);
    }
    positional(&digits, exponent)
}

/// The digits with the decimal point at its place.
fn positional(digits: &str, exponent: i32) -> String {
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            format!("0.{}{digits}", "0".repeat(zeros))
        }
        Ok(exponent) if digits.len() <= exponent + 1 => {
            format!("{digits}{}", "0".repeat(exponent + 1 - digits.len()))
        }
        Ok(exponent) => format!("{}.{}", &digits[..=exponent], &digits[exponent + 1..]),
    }
}

fn hexadecimal(value: f64) -> String {
    if value == 0.0 {
        return "0x0p+00".to_owned();
    }
    let bits = value.to_bits();
    let mut fraction = bits & ((1 << 52) - 1);
    let mut exponent = i64::try_from(bits >> 52).unwrap_or(0) - 1023;
    if exponent == -1023 {
        let shift = fraction.leading_zeros() - 11;
        fraction = (fraction << shift) & ((1 << 52) - 1);
        exponent = -1022 - i64::from(shift);
    }
    let digits = format!("{fraction:013x}");
    let digits = digits.trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x1{dot}{digits}p{sign}{:02}", exponent.abs())
}

/// A number as Go's JSON encoder writes it.
pub(super) fn json(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format(value, 'e', None);
        // One digit is enough for a small negative exponent.
        if let Some((mantissa, digit)) = text.split_once("e-0") {
            return format!("{mantissa}e-{digit}");
        }
        return text;
    }
    format(value, 'f', None)
}
