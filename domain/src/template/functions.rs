//! The functions that templates may call. What is not in these tables does not exist: nothing
//! here reads the machine, the clock, randomness, the network or keys.

mod builtin;
mod cases;
mod compass;
mod dates;
mod decimal;
mod dicts;
mod durations;
mod encoding;
mod lists;
mod numbers;
mod paths;
mod regexes;
mod strings;
mod versions;
mod wrapping;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::print::Printed;
use super::value::Value;
use super::work::Work;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    String,
    Int,
    Float,
    Bool,
    Raw,
    Strings,
    Map,
}

impl Type {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Raw => "json.RawMessage",
            Self::Strings => "[]string",
            Self::Map => "map[string]interface {}",
        }
    }

    /// What a nil becomes, where the type has one.
    pub(super) fn zero(self) -> Option<Value> {
        match self {
            Self::Any => Some(Value::Nil),
            Self::Raw => Some(Value::Raw("".into())),
            Self::Strings => Some(Value::strings(Vec::<&str>::new())),
            Self::Map => Some(Value::map(std::collections::BTreeMap::new())),
            Self::String | Self::Int | Self::Float | Self::Bool => None,
        }
    }

    pub(super) const fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::String => matches!(value, Value::Str(_) | Value::Escaped(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Float => matches!(value, Value::Float(_) | Value::Whole(_)),
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Raw => matches!(value, Value::Raw(_) | Value::Bytes(_)),
            Self::Strings => matches!(value, Value::Strings(_)),
            Self::Map => matches!(value, Value::Map(_)),
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Function {
    pub name: &'static str,
    pub parameters: &'static [Type],
    /// The last parameter may repeat, or be absent.
    pub variadic: bool,
    /// Its result is made to stand in JSON or in a string of it.
    pub escapes: bool,
    pub run: fn(&Call<'_>) -> Result<Value, String>,
}

impl Function {
    pub(super) fn parameter(&self, index: usize) -> Type {
        let last = self.parameters.len().saturating_sub(1);
        self.parameters
            .get(index.min(last))
            .copied()
            .unwrap_or(Type::Any)
    }
}

const fn fixed(
    name: &'static str,
    parameters: &'static [Type],
    run: fn(&Call<'_>) -> Result<Value, String>,
) -> Function {
    Function {
        name,
        parameters,
        variadic: false,
        escapes: false,
        run,
    }
}

const fn variadic(
    name: &'static str,
    parameters: &'static [Type],
    run: fn(&Call<'_>) -> Result<Value, String>,
) -> Function {
    Function {
        name,
        parameters,
        variadic: true,
        escapes: false,
        run,
    }
}

const fn escaping(function: Function) -> Function {
    Function {
        escapes: true,
        ..function
    }
}

/// The arguments of a call. Their number and types are as the function's table says.
pub(super) struct Call<'w> {
    pub args: Vec<Value>,
    pub work: &'w Work,
    /// Set where the result says `<nil>` for a nil.
    pub nils: Cell<bool>,
}

impl Call<'_> {
    fn arg(&self, index: usize) -> &Value {
        self.args.get(index).unwrap_or(&Value::Nil)
    }

    fn text(&self, index: usize) -> &str {
        match self.arg(index) {
            Value::Raw(text) => text,
            value => value.text().map_or("", |text| text),
        }
    }

    fn int(&self, index: usize) -> i64 {
        self.arg(index).as_int().unwrap_or(0)
    }

    /// Arguments from this one on.
    fn rest(&self, index: usize) -> &[Value] {
        self.args.get(index..).unwrap_or_default()
    }

    /// A text as the result, paid for.
    fn done(&self, text: impl Into<String>) -> Result<Value, String> {
        let text = text.into();
        self.work.charge(text.len())?;
        Ok(Value::str(text))
    }

    fn list(&self, items: Vec<Value>) -> Result<Value, String> {
        self.work.charge(items.len())?;
        Ok(Value::list(items))
    }

    fn printed(&self, printed: Printed) -> Value {
        self.nils.set(self.nils.get() || printed.nils);
        Value::str(printed.text)
    }
}

static TABLE: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    let tables = [
        builtin::TABLE,
        strings::TABLE,
        cases::TABLE,
        wrapping::TABLE,
        regexes::TABLE,
        paths::TABLE,
        versions::TABLE,
        dates::TABLE,
        durations::TABLE,
        lists::TABLE,
        dicts::TABLE,
        numbers::TABLE,
        encoding::TABLE,
        // Compass's own come last: they replace one of the library's.
        compass::TABLE,
    ];
    tables
        .into_iter()
        .flatten()
        .map(|function| (function.name, function))
        .collect()
});

pub(super) use encoding::{canonical_json, json_string};
pub(super) use versions::VERSION;

pub(super) fn find(name: &str) -> Option<&'static Function> {
    TABLE.get(name).copied()
}

/// The member of a map.
pub(super) fn member(map: &Value, name: &str) -> Option<Value> {
    match map {
        Value::Map(map) => map.0.borrow().get(name).cloned(),
        Value::StrMap(map) => map.get(name).cloned(),
        _ => None,
    }
}
