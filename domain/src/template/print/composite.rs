//! Lists, maps and structs.

use super::super::value::{Kind, Value};
use super::{Printer, Spec};

impl Printer<'_> {
    pub(super) fn composite(
        &mut self,
        verb: char,
        spec: Spec,
        value: &Value,
    ) -> Result<(), String> {
        let is_go = spec.go;
        let (open, close, gap) = match value.kind() {
            Kind::Map if !is_go => ("map[", "]", " "),
            Kind::Slice if !is_go => ("[", "]", " "),
            _ if is_go => ("{", "}", ", "),
            _ => ("{", "}", " "),
        };
        let is_pointer = match value {
            Value::Ptr(Ok(_)) => true,
            Value::Time(time) => time.pointer,
            _ => false,
        };
        if is_pointer {
            self.push("&")?;
        }
        if is_go {
            self.push(value.type_name().trim_start_matches('*'))?;
        }
        self.push(open)?;
        if let Some(members) = value.members() {
            for (index, (key, member)) in members.iter().enumerate() {
                self.push(if index > 0 { gap } else { "" })?;
                self.string(verb, spec, (key, &Value::Str(key.clone())))?;
                self.push(":")?;
                self.inner(verb, spec, member)?;
            }
        } else if let Some(items) = value.items() {
            for (index, item) in items.iter().enumerate() {
                self.push(if index > 0 { gap } else { "" })?;
                self.inner(verb, spec, item)?;
            }
        } else {
            self.fields(verb, spec, (value, gap))?;
        }
        self.push(close)
    }

    fn fields(&mut self, verb: char, spec: Spec, of: (&Value, &str)) -> Result<(), String> {
        let (value, gap) = of;
        let named = spec.go || spec.named;
        match value {
            Value::Struct(value) | Value::Ptr(Ok(value)) => {
                for (index, field) in value.fields.iter().enumerate() {
                    self.push(if index > 0 { gap } else { "" })?;
                    if named {
                        self.push(&format!("{}:", field.name))?;
                    }
                    // Go prints the address of a struct behind a pointer; here it is its value.
                    let inner = match &field.value {
                        inner @ (Value::Ptr(Ok(_)) | Value::Time(_)) => inner.printable(),
                        other => other.clone(),
                    };
                    self.inner(verb, spec, &inner)?;
                }
                Ok(())
            }
            Value::Time(time) => {
                let (nanoseconds, seconds, zone) = time.go_parts();
                self.push(&format!("{nanoseconds} {seconds} "))?;
                match zone {
                    Some(zone) => self.push(&zone),
                    None => self.nil(Spec::default()),
                }
            }
            _ => Ok(()),
        }
    }
}
