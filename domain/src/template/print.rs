//! Go's `fmt`: printing values, with and without a format.

mod composite;
mod numbers;

use numbers::sign;

use super::functions::VERSION;
use super::quote::quoted;
use super::value::{Kind, Value};
use super::work::{STEP, Work};

/// What a rendering of values gives.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub text: String,
    /// Whether it says `<nil>` for some value, rather than repeating a text.
    pub nils: bool,
}

/// How a verb is to be written.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the flags of a format, each its own"
)]
pub(super) struct Spec {
    pub plus: bool,
    pub minus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    /// `%#v`: as Go writes the value in a program.
    pub go: bool,
    /// `%+v`: with the names of fields.
    pub named: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

pub(super) struct Printer<'w> {
    pub printed: Printed,
    work: &'w Work,
}

/// `fmt.Sprint`: a space between two operands neither of which is a string.
pub(super) fn sprint(values: &[Value], work: &Work) -> Result<Printed, String> {
    let mut printer = Printer::new(work);
    let mut previous_is_string = true;
    for (index, value) in values.iter().enumerate() {
        let is_string = value.kind() == Kind::String;
        if index > 0 && !is_string && !previous_is_string {
            printer.printed.text.push(' ');
        }
        printer.value('v', Spec::default(), value)?;
        previous_is_string = is_string;
    }
    Ok(printer.printed)
}

/// `fmt.Sprintln`.
pub(super) fn sprintln(values: &[Value], work: &Work) -> Result<Printed, String> {
    let mut printer = Printer::new(work);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            printer.printed.text.push(' ');
        }
        printer.value('v', Spec::default(), value)?;
    }
    printer.printed.text.push('\n');
    Ok(printer.printed)
}

/// One value as `%v` prints it.
pub(super) fn display(value: &Value, work: &Work) -> Result<Printed, String> {
    sprint(std::slice::from_ref(value), work)
}

/// Takes what printing a text as it is costs.
pub(super) fn charge(text: &str, work: &Work) -> Result<(), String> {
    work.enter()?;
    work.charge(STEP + text.len())?;
    work.leave();
    Ok(())
}

impl<'w> Printer<'w> {
    pub(super) fn new(work: &'w Work) -> Self {
        Self {
            printed: Printed::default(),
            work,
        }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        self.work.charge(text.len())?;
        self.printed.text.push_str(text);
        Ok(())
    }

    fn nil(&mut self, spec: Spec) -> Result<(), String> {
        self.printed.nils = true;
        self.pad(spec, "<nil>")
    }

    fn pad(&mut self, spec: Spec, text: &str) -> Result<(), String> {
        let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
        self.work.charge(missing)?;
        let zero = spec.zero && !spec.minus;
        let padding = if zero { "0" } else { " " }.repeat(missing);
        if spec.minus {
            self.push(text)?;
            self.push(&padding)
        } else {
            self.push(&padding)?;
            self.push(text)
        }
    }

    fn bad_verb(&mut self, verb: char, spec: Spec, value: &Value) -> Result<(), String> {
        self.push(&format!("%!{verb}("))?;
        if value.is_none() {
            self.push("<nil>")?;
        } else {
            self.push(&format!("{}=", value.type_name()))?;
            self.inner('v', spec, value)?;
        }
        self.push(")")
    }

    /// Writes an operand of a format.
    pub(super) fn value(&mut self, verb: char, spec: Spec, value: &Value) -> Result<(), String> {
        let spec = match verb {
            'v' => Spec {
                go: spec.sharp,
                named: spec.plus,
                sharp: false,
                plus: false,
                ..spec
            },
            _ => spec,
        };
        match (value, verb) {
            (value, 'T') => self.pad(spec, &value.type_name()),
            (Value::Invalid | Value::Nil, 'v') => self.nil(spec),
            (Value::Invalid | Value::Nil, verb) => self.bad_verb(verb, spec, value),
            (value, verb) => self.inner(verb, spec, value),
        }
    }

    fn inner(&mut self, verb: char, spec: Spec, value: &Value) -> Result<(), String> {
        self.work.enter()?;
        self.work.step()?;
        let outcome = match value {
            Value::Invalid | Value::Nil => self.nil(spec),
            Value::Bool(flag) => match verb {
                't' | 'v' => self.pad(
                    Spec {
                        zero: false,
                        ..spec
                    },
                    &flag.to_string(),
                ),
                _ => self.bad_verb(verb, spec, value),
            },
            Value::Int(_) | Value::Int64(_) | Value::Byte(_) => self.integer(verb, spec, value),
            Value::Float(number) => self.float(verb, spec, (*number, value)),
            Value::Whole(digits) if verb == 'v' && !spec.sharp => {
                let size = digits.trim_start_matches('-').to_owned();
                let sign = sign(digits.starts_with('-'), spec);
                self.number(
                    Spec {
                        precision: None,
                        ..spec
                    },
                    (sign, ""),
                    size,
                )
            }
            Value::Whole(_) => self.float(verb, spec, (value.as_f64().unwrap_or(0.0), value)),
            Value::Complex(real, imaginary) => self.complex(verb, spec, (*real, *imaginary)),
            Value::Str(text) | Value::Escaped(text) | Value::Named(_, text) => {
                let text = text.clone();
                self.string(verb, spec, (&text, value))
            }
            Value::StrPtr(Some(text)) => {
                let text = text.clone();
                self.string(verb, spec, (&text, &Value::Str(text.clone())))
            }
            Value::StrPtr(None) | Value::Ptr(Err(_)) if verb == 'v' => self.nil(spec),
            Value::StrPtr(None) | Value::Ptr(Err(_)) => self.bad_verb(verb, spec, value),
            Value::Bytes(bytes) if "sqxX".contains(verb) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.string(verb, spec, (&text, value))
            }
            Value::Raw(text) if "sqxX".contains(verb) => {
                let text = text.clone();
                self.string(verb, spec, (&text, value))
            }
            Value::Struct(version) | Value::Ptr(Ok(version)) if version.kind == VERSION => {
                let text = version.fields.first().map(|field| field.value.clone());
                self.inner(verb, spec, &text.unwrap_or(Value::Nil))
            }
            value => self.composite(verb, spec, value),
        };
        self.work.leave();
        outcome
    }

    fn string(&mut self, verb: char, spec: Spec, of: (&str, &Value)) -> Result<(), String> {
        let (text, value) = of;
        let cut = |text: &str| match spec.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        match verb {
            'v' if spec.go => self.pad(spec, &quoted(text, false)),
            'v' | 's' => self.pad(spec, &cut(text)),
            'q' if spec.sharp
                && !text.contains(['`', '\u{7f}', '\u{feff}'])
                && is_one_line(text) =>
            {
                self.pad(spec, &format!("`{}`", cut(text)))
            }
            'q' => self.pad(spec, &quoted(&cut(text), spec.plus)),
            'x' | 'X' => {
                self.work.charge(text.len() * 3)?;
                let bytes =
                    &text.as_bytes()[..spec.precision.unwrap_or(usize::MAX).min(text.len())];
                let gap = if spec.space { " " } else { "" };
                let prefix = if spec.sharp { "0x" } else { "" };
                let each = if spec.space { prefix } else { "" };
                let codes: Vec<_> = bytes
                    .iter()
                    .map(|byte| format!("{each}{byte:02x}"))
                    .collect();
                let lead = if spec.space || bytes.is_empty() {
                    ""
                } else {
                    prefix
                };
                let hex = format!("{lead}{}", codes.join(gap));
                let hex = if verb == 'X' {
                    hex.to_ascii_uppercase()
                } else {
                    hex
                };
                self.pad(spec, &hex)
            }
            _ => self.bad_verb(verb, spec, value),
        }
    }
}

fn is_one_line(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || u32::from(c) >= 0x20)
}
