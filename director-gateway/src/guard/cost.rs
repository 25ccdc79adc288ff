//! What a parsed document expands to.

use std::collections::HashMap;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;

use super::{
    ALIASES, ARGUMENTS, Code, DEPTH, DIRECTIVES, FRAGMENTS, INTROSPECTION_LISTS, ROOT_FIELDS,
    Refusal, SELECTIONS, VALUES,
};

/// So many bytes of a text weigh as much as one more value.
const TEXT_PER_VALUE: usize = 256;

/// What passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Places that variables are used in.
    pub(super) variables: u64,
    pub(super) visited: usize,
}

/// What a part of a document expands to. Sums saturate.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    selections: u64,
    values: u64,
    variables: u64,
    aliases: u64,
    directives: u64,
    /// Fields of the outermost selection set.
    fields: u64,
    /// Selection sets below the outermost one.
    depth: usize,
    /// Lists of the introspection inside one another.
    lists: usize,
}

impl Cost {
    fn add(&mut self, other: Self) {
        let Self {
            selections,
            values,
            variables,
            aliases,
            directives,
            fields,
            depth,
            lists,
        } = other;
        self.selections = self.selections.saturating_add(selections);
        self.values = self.values.saturating_add(values);
        self.variables = self.variables.saturating_add(variables);
        self.aliases = self.aliases.saturating_add(aliases);
        self.directives = self.directives.saturating_add(directives);
        self.fields = self.fields.saturating_add(fields);
        self.depth = self.depth.max(depth);
        self.lists = self.lists.max(lists);
    }
}

enum Known {
    /// Being measured: met again, it contains itself.
    Open,
    Done(Cost),
}

struct Walk<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    known: HashMap<&'a str, Known>,
    visited: usize,
}

/// Measures a document, or says which limit it breaks.
pub(super) fn measure(document: &ExecutableDocument) -> Result<Measured, Refusal> {
    let mut walk = Walk::new(document);
    let total = walk.document(document)?;
    let limits = [
        (
            total.selections,
            SELECTIONS,
            "selections, its fragments expanded",
        ),
        (total.values, VALUES, "values, its fragments expanded"),
        (total.aliases, ALIASES, "aliases, its fragments expanded"),
        (
            total.directives,
            DIRECTIVES,
            "directives, its fragments expanded",
        ),
    ];
    for (found, limit, what) in limits {
        if found > limit {
            return Err(Refusal::too_complex(what, limit));
        }
    }
    if total.lists > INTROSPECTION_LISTS {
        let what = "lists of the introspection inside one another";
        return Err(Refusal::too_complex(what, INTROSPECTION_LISTS));
    }
    Ok(Measured {
        variables: total.variables,
        visited: walk.visited,
    })
}

/// How many nodes measuring looks at, refused or not.
#[cfg(test)]
pub(super) fn visited(document: &ExecutableDocument) -> usize {
    let mut walk = Walk::new(document);
    drop(walk.document(document));
    walk.visited
}

impl<'a> Walk<'a> {
    fn new(document: &'a ExecutableDocument) -> Self {
        Self {
            fragments: &document.fragments,
            known: HashMap::with_capacity(document.fragments.len()),
            visited: 0,
        }
    }

    /// Every definition by itself, since the library validates each of them.
    fn document(&mut self, document: &'a ExecutableDocument) -> Result<Cost, Refusal> {
        if document.fragments.len() > FRAGMENTS {
            return Err(Refusal::too_complex("fragments", FRAGMENTS));
        }
        let mut total = Cost::default();
        for (_, operation) in document.operations.iter() {
            let operation = &operation.node;
            let mut cost = self.directives(&operation.directives)?;
            for definition in &operation.variable_definitions {
                cost.add(self.directives(&definition.node.directives)?);
                if let Some(default) = &definition.node.default_value {
                    cost.add(self.value(&default.node.clone().into_value()));
                }
            }
            cost.add(self.selections(&operation.selection_set, 0)?);
            if cost.fields > ROOT_FIELDS {
                return Err(Refusal::too_complex("fields in one operation", ROOT_FIELDS));
            }
            total.add(cost);
        }
        for name in document.fragments.keys() {
            total.add(self.fragment(name, 0)?);
        }
        Ok(total)
    }

    /// `depth` is how many selection sets are around this one on the way that was taken here, so
    /// this function cannot recurse deeper than the limit.
    fn selections(
        &mut self,
        set: &'a Positioned<SelectionSet>,
        depth: usize,
    ) -> Result<Cost, Refusal> {
        let mut total = Cost::default();
        if depth > DEPTH {
            let message = format!("the document is more than {DEPTH} selections deep");
            return Err(Refusal::new(Code::TooDeep, message, Some(set.pos)));
        }
        for selection in &set.node.items {
            self.visited += 1;
            let mut cost = match &selection.node {
                Selection::Field(field) => self.field(&field.node, depth)?,
                Selection::FragmentSpread(spread) => {
                    let mut cost = self.directives(&spread.node.directives)?;
                    cost.add(below(
                        self.fragment(&spread.node.fragment_name.node, depth + 1)?,
                    ));
                    cost
                }
                Selection::InlineFragment(inline) => {
                    let mut cost = self.directives(&inline.node.directives)?;
                    cost.add(below(
                        self.selections(&inline.node.selection_set, depth + 1)?,
                    ));
                    cost
                }
            };
            cost.selections = cost.selections.saturating_add(1);
            total.add(cost);
        }
        Ok(total)
    }

    fn field(&mut self, field: &'a Field, depth: usize) -> Result<Cost, Refusal> {
        let mut cost = Cost::default();
        if !field.selection_set.node.items.is_empty() {
            cost = below(self.selections(&field.selection_set, depth + 1)?);
        }
        cost.fields = 1;
        cost.aliases += u64::from(field.alias.is_some());
        let name = field.name.node.as_str();
        if matches!(
            name,
            "fields" | "inputFields" | "interfaces" | "possibleTypes"
        ) {
            cost.lists += 1;
        }
        cost.add(self.directives(&field.directives)?);
        cost.add(self.arguments(&field.arguments)?);
        Ok(cost)
    }

    fn fragment(&mut self, name: &'a str, depth: usize) -> Result<Cost, Refusal> {
        match self.known.get(name) {
            Some(Known::Open) => {
                let message = format!("fragment \"{name}\" contains itself");
                return Err(Refusal::new(Code::TooComplex, message, None));
            }
            Some(Known::Done(cost)) if depth + cost.depth > DEPTH => {
                let message = format!("the document is more than {DEPTH} selections deep");
                return Err(Refusal::new(Code::TooDeep, message, None));
            }
            Some(Known::Done(cost)) => return Ok(*cost),
            None => {}
        }
        // An unknown fragment is for the library to name.
        let Some(definition) = self.fragments.get(name) else {
            return Ok(Cost::default());
        };
        self.known.insert(name, Known::Open);
        self.visited += 1;
        let mut cost = self.directives(&definition.node.directives)?;
        cost.add(self.selections(&definition.node.selection_set, depth)?);
        self.known.insert(name, Known::Done(cost));
        Ok(cost)
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<Cost, Refusal> {
        let mut total = Cost::default();
        for directive in directives {
            self.visited += 1;
            total.add(self.arguments(&directive.node.arguments)?);
            total.directives += 1;
        }
        Ok(total)
    }

    fn arguments(
        &mut self,
        arguments: &'a [(Positioned<Name>, Positioned<Value>)],
    ) -> Result<Cost, Refusal> {
        if arguments.len() > ARGUMENTS {
            return Err(Refusal::too_complex("arguments in one place", ARGUMENTS));
        }
        let mut total = Cost::default();
        for (_, value) in arguments {
            total.add(self.value(&value.node));
        }
        Ok(total)
    }

    /// The scan has bounded how deep values nest.
    fn value(&mut self, value: &Value) -> Cost {
        self.visited += 1;
        let mut cost = Cost {
            values: 1,
            ..Cost::default()
        };
        match value {
            Value::Variable(_) => cost.variables = 1,
            Value::String(text) => cost.values += (text.len() / TEXT_PER_VALUE) as u64,
            Value::List(items) => items.iter().for_each(|item| cost.add(self.value(item))),
            Value::Object(fields) => fields.values().for_each(|item| cost.add(self.value(item))),
            Value::Null
            | Value::Number(_)
            | Value::Boolean(_)
            | Value::Enum(_)
            | Value::Binary(_) => {}
        }
        cost
    }
}

/// The cost of a selection set as part of the one around it.
fn below(mut cost: Cost) -> Cost {
    cost.depth += 1;
    cost
}
