//! Filters on labels.
//!
//! A filter's query is JSON, and a label passes when its value contains it in the sense of
//! PostgreSQL's `@>`: objects and arrays contain their parts, and an array contains a bare value
//! that is one of its elements. SQLite has no such operator, so there the query is unfolded into
//! one predicate over `json_each` per value in it.

use sea_orm::sea_query::Expr;
use sea_orm::{DbBackend, Value};
use serde_json::Value as Json;

use super::Error;
use super::label::Owner;

/// The label that names a system's formations, which only formations may set.
pub const SCENARIOS: &str = "scenarios";
const RUNTIME_TYPE: &str = "runtimeType";
/// The label that names the subaccount which owns a template.
pub const SUBACCOUNT: &str = "global_subaccount_id";

/// Values that one query may hold; more are refused.
const MAX_VALUES: usize = 200;
/// How deep the values of one query may nest.
const MAX_DEPTH: usize = 32;

/// A filter as the client gave it. All filters of a list must pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFilter {
    pub key: String,
    /// JSON that the label's value must contain; without it, the label must be there.
    pub query: Option<String>,
}

/// What must hold for the labels of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Exists(String),
    Contains(String, Json),
    ContainsAny(String, Vec<String>),
    Absent(String),
}

/// The tests that `filters` stand for. `None`: nothing can pass.
pub fn for_applications(filters: &[LabelFilter]) -> Result<Option<Vec<Test>>, Error> {
    let (scenarios, others): (Vec<_>, Vec<_>) =
        filters.iter().partition(|filter| filter.key == SCENARIOS);
    for filter in &scenarios {
        json_path(filter)?;
    }
    let tests = others.into_iter().map(test).collect::<Result<_, _>>()?;
    // No application is in a formation: there are none.
    Ok(scenarios.is_empty().then_some(tests))
}

/// The tests that `filters` stand for.
pub fn for_templates(filters: &[LabelFilter]) -> Result<Vec<Test>, Error> {
    filters.iter().map(test).collect()
}

fn test(filter: &LabelFilter) -> Result<Test, Error> {
    let key = filter.key.clone();
    let Some(query) = &filter.query else {
        return Ok(Test::Exists(key));
    };
    if key.eq_ignore_ascii_case(SCENARIOS) || key == RUNTIME_TYPE {
        return Ok(Test::ContainsAny(key, json_path(filter)?));
    }
    let value: Json = serde_json::from_str(query).map_err(|_| {
        Error::InvalidData(format!(
            "the query of the filter on label {key:?} is not JSON"
        ))
    })?;
    if key == SUBACCOUNT && value.is_object() {
        let exists = value
            .get("exists")
            .and_then(Json::as_bool)
            .unwrap_or_default();
        if !exists {
            return Ok(Test::Absent(key));
        }
    }
    if weigh(&value, 0).is_none_or(|values| values > MAX_VALUES) {
        return Err(Error::InvalidData(format!(
            "the query of the filter on label {key:?} holds more than {MAX_VALUES} values, \
             or nests deeper than {MAX_DEPTH}"
        )));
    }
    Ok(Test::Contains(key, value))
}

/// How many values `value` holds, unless it nests too deep.
fn weigh(value: &Json, depth: usize) -> Option<usize> {
    if depth > MAX_DEPTH {
        return None;
    }
    let parts: Option<usize> = match value {
        Json::Array(items) => items.iter().map(|item| weigh(item, depth + 1)).sum(),
        Json::Object(members) => members
            .values()
            .map(|member| weigh(member, depth + 1))
            .sum(),
        _ => Some(0),
    };
    parts.map(|parts| parts + 1)
}

/// The alternatives of `$[*] ? (@ == "A" || @ == "B")`, the one JSON path that is understood.
fn json_path(filter: &LabelFilter) -> Result<Vec<String>, Error> {
    let alternatives = || -> Option<Vec<String>> {
        let rest = filter.query.as_deref()?.strip_prefix("$[*]")?.trim_start();
        let rest = rest.strip_prefix('?')?.trim_start().strip_prefix('(')?;
        let condition = rest.trim_end().strip_suffix(')')?;
        condition.split("||").map(alternative).collect()
    };
    alternatives().ok_or_else(|| {
        Error::InvalidData(format!(
            "the query of the filter on label {:?} must read $[*] ? (@ == \"A\" || @ == \"B\")",
            filter.key
        ))
    })
}

fn alternative(text: &str) -> Option<String> {
    let value = text
        .trim()
        .strip_prefix('@')?
        .trim_start()
        .strip_prefix("==")?
        .trim_start();
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_ ".contains(c);
    (!value.is_empty() && value.chars().all(is_plain)).then(|| value.to_owned())
}

/// The condition on the objects of `owner` that `test` stands for.
pub(crate) fn condition(backend: DbBackend, owner: Owner, test: &Test) -> Expr {
    let mut sql = Sql {
        backend,
        text: String::new(),
        values: Vec::new(),
    };
    let (column, table) = owner.names();
    let key = match test {
        Test::Exists(key)
        | Test::Contains(key, _)
        | Test::ContainsAny(key, _)
        | Test::Absent(key) => key,
    };
    if let Test::Absent(_) = test {
        sql.push("NOT ");
    }
    sql.push(&format!(
        "EXISTS (SELECT 1 FROM label l WHERE l.{column} = {table}.id AND l.key = "
    ));
    sql.bind(key.as_str());
    match test {
        Test::Exists(_) | Test::Absent(_) => {}
        Test::Contains(_, value) => {
            sql.push(" AND ");
            sql.contains(value);
        }
        Test::ContainsAny(_, values) => {
            sql.push(" AND (");
            for (at, value) in values.iter().enumerate() {
                sql.push(if at > 0 { " OR " } else { "" });
                sql.contains(&Json::from(value.as_str()));
            }
            sql.push(")");
        }
    }
    sql.push(")");
    Expr::cust_with_values(sql.text, sql.values)
}

struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn bind(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
        match self.backend {
            DbBackend::Postgres => self.text.extend(["$", &self.values.len().to_string()]),
            _ => self.text.push('?'),
        }
    }

    fn contains(&mut self, value: &Json) {
        if self.backend == DbBackend::Postgres {
            self.push("l.value @> ");
            self.bind(value.clone());
            return;
        }
        self.push("EXISTS (SELECT 1 FROM json_each('[' || l.value || ']') n0 WHERE (");
        self.node(0, value);
        if !value.is_array() && !value.is_object() {
            // An array contains a bare value that is one of its elements; only at the top.
            self.push(" OR ");
            self.node(0, &Json::Array(vec![value.clone()]));
        }
        self.push("))");
    }

    /// The predicate that row `n{depth}` of a `json_each` contains `value`.
    fn node(&mut self, depth: usize, value: &Json) {
        let row = format!("n{depth}");
        match value {
            Json::Null => self.push(&format!("{row}.type = 'null'")),
            Json::Bool(yes) => self.push(&format!("{row}.type = '{yes}'")),
            Json::Number(number) => {
                self.push(&format!(
                    "({row}.type IN ('integer', 'real') AND {row}.atom = "
                ));
                match number.as_i64() {
                    Some(whole) => self.bind(whole),
                    None => self.bind(number.as_f64()),
                }
                self.push(")");
            }
            Json::String(text) => {
                self.push(&format!("({row}.type = 'text' AND {row}.atom = "));
                self.bind(text.as_str());
                self.push(")");
            }
            Json::Array(items) => {
                self.push(&format!("({row}.type = 'array'"));
                for item in items {
                    self.part(depth, None, item);
                }
                self.push(")");
            }
            Json::Object(members) => {
                self.push(&format!("({row}.type = 'object'"));
                for (key, member) in members {
                    self.part(depth, Some(key), member);
                }
                self.push(")");
            }
        }
    }

    fn part(&mut self, depth: usize, key: Option<&str>, value: &Json) {
        let inner = depth + 1;
        // What is no container is not opened: `json_each` would take a text for JSON.
        self.push(&format!(
            " AND EXISTS (SELECT 1 FROM json_each(CASE WHEN n{depth}.type IN ('array', 'object') \
             THEN n{depth}.value ELSE 'null' END) n{inner} WHERE "
        ));
        if let Some(key) = key {
            self.push(&format!("n{inner}.key = "));
            self.bind(key);
            self.push(" AND ");
        }
        self.node(inner, value);
        self.push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(key: &str, query: &str) -> LabelFilter {
        LabelFilter {
            key: key.to_owned(),
            query: Some(query.to_owned()),
        }
    }

    #[test]
    fn a_json_path_gives_its_alternatives() {
        let path = filter(RUNTIME_TYPE, "$[*] ? (@ == \"A b\" || @ == \"c-d\")");
        assert_eq!(json_path(&path).unwrap(), ["A b", "c-d"]);
    }

    #[test]
    fn what_is_neither_json_nor_a_known_path_is_refused() {
        for (key, query) in [
            ("tags", "prod"),
            ("tags", "$[*] ? (@ == \"a\")"),
            ("tags", ""),
            (SCENARIOS, "[\"A\"]"),
            (SCENARIOS, "A"),
            (SCENARIOS, "$[*] ? (@ == \"a' OR 1\")"),
        ] {
            let refused = for_applications(&[filter(key, query)]);
            assert!(
                matches!(refused, Err(Error::InvalidData(_))),
                "{key} {query}"
            );
        }
    }

    #[test]
    fn a_query_that_would_cost_too_much_is_refused() {
        let wide = format!("[{}1]", "1,".repeat(MAX_VALUES));
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        for query in [wide, deep] {
            assert!(for_applications(&[filter("k", &query)]).is_err());
        }
    }

    #[test]
    fn nothing_is_in_a_formation() {
        let scenarios = filter(SCENARIOS, "$[*] ? (@ == \"A\")");
        assert_eq!(for_applications(&[scenarios]).unwrap(), None);
    }
}
