//! Numbers.

use std::fmt::Write as _;

use super::super::float;
use super::super::quote::quoted_char;
use super::super::value::Value;
use super::{Printer, Spec};

impl Printer<'_> {
    pub(super) fn integer(&mut self, verb: char, spec: Spec, value: &Value) -> Result<(), String> {
        let number = match value {
            Value::Byte(byte) => i64::from(*byte),
            value => value.as_int().unwrap_or(0),
        };
        let character = u32::try_from(number).ok().and_then(char::from_u32);
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        let size = number.unsigned_abs();
        let (prefix, digits) = match verb {
            'v' | 'd' => ("", size.to_string()),
            'b' => ("0b", format!("{size:b}")),
            'o' if size == 0 => ("", "0".to_owned()),
            'o' => ("0", format!("{size:o}")),
            'O' => ("0o", format!("{size:o}")),
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'c' => {
                return self.pad(
                    Spec {
                        zero: false,
                        ..spec
                    },
                    &character.to_string(),
                );
            }
            'q' => {
                let text = quoted_char(character, spec.plus);
                return self.pad(
                    Spec {
                        zero: false,
                        ..spec
                    },
                    &text,
                );
            }
            'U' => {
                let mut text = format!("U+{number:04X}");
                if spec.sharp && !character.is_control() {
                    _ = write!(text, " '{character}'");
                }
                return self.pad(
                    Spec {
                        zero: false,
                        ..spec
                    },
                    &text,
                );
            }
            _ => return self.bad_verb(verb, spec, value),
        };
        let prefix = if spec.sharp && verb != 'v' || verb == 'O' {
            prefix
        } else {
            ""
        };
        let sign = sign(number < 0, spec);
        self.number(spec, (sign, prefix), digits)
    }

    /// Pads a whole number: with zeros behind its sign and prefix, or with spaces around it.
    pub(super) fn number(
        &mut self,
        spec: Spec,
        (sign, prefix): (&str, &str),
        mut digits: String,
    ) -> Result<(), String> {
        let wanted = match (spec.precision, spec.width) {
            (Some(0), _) if digits == "0" => {
                digits.clear();
                0
            }
            (Some(precision), _) => precision,
            (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let zeros = wanted.saturating_sub(digits.len());
        self.work.charge(zeros)?;
        let text = format!("{sign}{prefix}{}{digits}", "0".repeat(zeros));
        self.pad(
            Spec {
                zero: false,
                ..spec
            },
            &text,
        )
    }

    pub(super) fn float(
        &mut self,
        verb: char,
        spec: Spec,
        of: (f64, &Value),
    ) -> Result<(), String> {
        let (number, value) = of;
        let (format, default) = match verb {
            'v' => ('g', None),
            'g' | 'G' | 'x' | 'X' => (verb, None),
            'e' | 'E' | 'f' | 'F' => (verb, Some(6)),
            _ => return self.bad_verb(verb, spec, value),
        };
        let text = self.float_text(number, format, spec.precision.or(default))?;
        let negative = text.starts_with('-');
        let sign = sign(negative, spec);
        let digits = text.trim_start_matches(['-', '+']);
        let sign = if text.starts_with('+') && sign.is_empty() && verb == 'v' {
            "+"
        } else {
            sign
        };
        if spec.zero && !spec.minus && number.is_finite() {
            let width = spec.width.unwrap_or(0).saturating_sub(sign.len());
            let zeros = width.saturating_sub(digits.len());
            self.work.charge(zeros)?;
            return self.push(&format!("{sign}{}{digits}", "0".repeat(zeros)));
        }
        self.pad(
            Spec {
                zero: false,
                ..spec
            },
            &format!("{sign}{digits}"),
        )
    }

    fn float_text(
        &self,
        number: f64,
        verb: char,
        precision: Option<usize>,
    ) -> Result<String, String> {
        self.work.charge(precision.unwrap_or(0))?;
        Ok(float::format(number, verb, precision))
    }

    pub(super) fn complex(
        &mut self,
        verb: char,
        spec: Spec,
        value: (f64, f64),
    ) -> Result<(), String> {
        let (real, imaginary) = value;
        if !"vgGeEfFxX".contains(verb) {
            return self.bad_verb(verb, spec, &Value::Complex(real, imaginary));
        }
        self.push("(")?;
        self.float(verb, spec, (real, &Value::Float(real)))?;
        self.float(
            verb,
            Spec { plus: true, ..spec },
            (imaginary, &Value::Float(imaginary)),
        )?;
        self.push("i)")
    }
}

pub(super) const fn sign(negative: bool, spec: Spec) -> &'static str {
    if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    }
}
