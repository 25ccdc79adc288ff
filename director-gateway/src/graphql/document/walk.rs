//! One walk over the selections of an operation or of a fragment.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{BaseType, Selection, SelectionSet, Type};
use async_graphql::{Name, Pos, ServerError, ServerResult, Value};
use async_graphql_value::Value as Literal;

use super::{Input, Inputs};

/// Where a variable is used.
pub(super) struct Use<'i> {
    pub variable: Name,
    /// The type of the place; `None` inside of a free value, and where nothing is known.
    pub ty: Option<&'i Type>,
    /// Whether the place has a default of its own.
    pub has_default: bool,
    pub pos: Pos,
    default: Option<&'i Value>,
}

impl Use<'_> {
    /// What the variable is to be when it is left out.
    pub(super) fn when_left_out(&self) -> Value {
        self.default.cloned().unwrap_or_default()
    }
}

pub(super) struct Walk<'i> {
    inputs: &'i Inputs,
    uses: Vec<Use<'i>>,
    spreads: HashSet<Name>,
}

impl<'i> Walk<'i> {
    pub(super) fn new(inputs: &'i Inputs) -> Self {
        Self {
            inputs,
            uses: Vec::new(),
            spreads: HashSet::new(),
        }
    }

    /// The uses here and in the fragments that are spread here.
    pub(super) fn with_fragments<'w>(
        &'w self,
        fragments: &'w HashMap<Name, Walk<'i>>,
    ) -> Vec<&'w Use<'i>> {
        let mut uses: Vec<_> = self.uses.iter().collect();
        let mut seen: HashSet<&Name> = HashSet::new();
        let mut next: Vec<&Name> = self.spreads.iter().collect();
        while let Some(name) = next.pop() {
            if let Some(fragment) = fragments.get(name)
                && seen.insert(name)
            {
                uses.extend(&fragment.uses);
                next.extend(&fragment.spreads);
            }
        }
        uses
    }

    pub(super) fn selections(&mut self, set: &SelectionSet) -> ServerResult<()> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    for (argument, value) in &field.node.arguments {
                        let key = (field.node.name.node.clone(), argument.node.clone());
                        self.value(&value.node, self.inputs.arguments.get(&key), value.pos)?;
                    }
                    self.selections(&field.node.selection_set.node)?;
                }
                Selection::InlineFragment(fragment) => {
                    self.selections(&fragment.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) => {
                    self.spreads.insert(spread.node.fragment_name.node.clone());
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Literal, input: Option<&'i Input>, pos: Pos) -> ServerResult<()> {
        let default = input.and_then(|input| input.default.as_ref());
        self.typed(value, input.map(|input| &input.ty), default, pos)
    }

    fn typed(
        &mut self,
        value: &Literal,
        ty: Option<&'i Type>,
        default: Option<&'i Value>,
        pos: Pos,
    ) -> ServerResult<()> {
        match value {
            Literal::Variable(name) => {
                let variable = name.clone();
                self.uses.push(Use {
                    variable,
                    ty,
                    has_default: default.is_some(),
                    pos,
                    default,
                });
            }
            Literal::List(items) => {
                let item_type = ty.and_then(|ty| match &ty.base {
                    BaseType::List(item) => Some(&**item),
                    BaseType::Named(_) => None,
                });
                for item in items {
                    self.typed(item, item_type, None, pos)?;
                }
            }
            Literal::Object(members) => {
                let object = ty.and_then(|ty| self.inputs.objects.get(named(ty)));
                for (name, member) in members {
                    self.value(member, object.and_then(|object| object.get(name)), pos)?;
                }
            }
            Literal::String(text) => {
                if let Some(name) = ty.map(named)
                    && self.inputs.enums.contains(name)
                {
                    let message =
                        format!("a value of enum \"{name}\" is not written as the text {text:?}");
                    return Err(ServerError::new(message, Some(pos)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name of what a type is, or is a list of.
fn named(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

/// Whether a variable of type `given` may stand where `wanted` is expected. With a default, on
/// either side, it is not null there.
pub(super) fn fits(given: &Type, wanted: &Type, has_default: bool) -> bool {
    if !wanted.nullable && given.nullable && !has_default {
        return false;
    }
    match (&given.base, &wanted.base) {
        (BaseType::Named(given), BaseType::Named(wanted)) => given == wanted,
        (BaseType::List(given), BaseType::List(wanted)) => fits(given, wanted, false),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_fits_where_it_is_never_more_often_null_than_allowed() {
        for (given, wanted, has_default, expected) in [
            ("ID!", "ID!", false, true),
            ("ID!", "ID", false, true),
            ("ID", "ID!", false, false),
            ("ID", "ID!", true, true),
            ("Int", "ID", false, false),
            ("[ID!]!", "[ID]", false, true),
            ("[ID]", "[ID!]", false, false),
            ("ID", "[ID]", false, false),
        ] {
            let (given, wanted) = (Type::new(given).unwrap(), Type::new(wanted).unwrap());
            assert_eq!(
                fits(&given, &wanted, has_default),
                expected,
                "{given} {wanted}"
            );
        }
    }
}
