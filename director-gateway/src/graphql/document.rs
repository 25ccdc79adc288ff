//! What the library does not do with a document by the GraphQL specification.
//!
//! - An argument whose variable is left out is as good as absent, so it gets its default; the
//!   library fails it. So each variable that is left out and has no default gets that of the
//!   argument it is used for, or null, before validation.
//! - A variable is used only where its type fits, and one that is needed is given. The library
//!   has the first rule but never runs it, and finds out about the second while it executes.
//! - A value of an enum is not written between quotes; the library takes it.
//!
//! *Invariant*: every operation and every fragment is walked once; fragments are not expanded.

mod alike;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, InputValueDefinition, OperationDefinition, Type,
    TypeKind, TypeSystemDefinition, VariableDefinition,
};
use async_graphql::{Name, Positioned, ServerError, ServerResult, Value, Variables};

pub(crate) use alike::is_alike;
use walk::{Use, Walk};

/// An argument or a member of an input object.
struct Input {
    ty: Type,
    default: Option<Value>,
}

/// What the schema says about inputs.
#[derive(Default)]
struct Inputs {
    /// By the names of field and argument: no two types of the schema differ in them.
    arguments: HashMap<(Name, Name), Input>,
    objects: HashMap<Name, HashMap<Name, Input>>,
    enums: HashSet<Name>,
}

impl Inputs {
    fn of(sdl: &str) -> Self {
        let mut inputs = Self::default();
        for definition in parse_schema(sdl)
            .into_iter()
            .flat_map(|schema| schema.definitions)
        {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node;
            match definition.node.kind {
                TypeKind::Enum(_) => drop(inputs.enums.insert(name)),
                TypeKind::InputObject(object) => {
                    let members = object.fields.into_iter().map(|field| input(field.node));
                    inputs.objects.insert(name, members.collect());
                }
                TypeKind::Object(object) => {
                    for field in object.fields {
                        for argument in field.node.arguments {
                            let (argument, input) = input(argument.node);
                            let field = field.node.name.node.clone();
                            inputs.arguments.insert((field, argument), input);
                        }
                    }
                }
                _ => {}
            }
        }
        inputs
    }
}

fn input(definition: InputValueDefinition) -> (Name, Input) {
    let default = definition.default_value.map(|value| value.node);
    (
        definition.name.node,
        Input {
            ty: definition.ty.node,
            default,
        },
    )
}

/// Knows the schema.
#[derive(Clone)]
pub(crate) struct Documents(Arc<Inputs>);

impl Documents {
    pub(crate) fn of(sdl: &str) -> Self {
        Self(Arc::new(Inputs::of(sdl)))
    }
}

impl Documents {
    /// Checks the document and completes it. `wanted`: the name of the operation that is to be executed.
    pub(crate) fn complete(
        &self,
        document: &mut ExecutableDocument,
        wanted: Option<&str>,
        variables: &Variables,
    ) -> ServerResult<()> {
        let inputs = &self.0;
        let mut fragments = HashMap::new();
        for (name, fragment) in &document.fragments {
            let mut walk = Walk::new(inputs);
            walk.selections(&fragment.node.selection_set.node)?;
            fragments.insert(name.clone(), walk);
        }
        for (name, operation) in operations(&mut document.operations) {
            let mut walk = Walk::new(inputs);
            walk.selections(&operation.selection_set.node)?;
            let uses = walk.with_fragments(&fragments);
            check_positions(operation, &uses)?;
            complete(operation, &uses, variables);
            if wanted.is_none() || wanted == name.as_deref() {
                check_given(operation, variables)?;
            }
        }
        Ok(())
    }
}

fn operations(
    operations: &mut DocumentOperations,
) -> Vec<(Option<Name>, &mut OperationDefinition)> {
    match operations {
        DocumentOperations::Single(operation) => vec![(None, &mut operation.node)],
        DocumentOperations::Multiple(operations) => operations
            .iter_mut()
            .map(|(name, operation)| (Some(name.clone()), &mut operation.node))
            .collect(),
    }
}

/// Every variable's type fits where it is used.
fn check_positions(operation: &OperationDefinition, uses: &[&Use<'_>]) -> ServerResult<()> {
    for Use {
        variable,
        ty,
        has_default,
        pos,
        ..
    } in uses
    {
        let definition = operation
            .variable_definitions
            .iter()
            .find(|definition| definition.node.name.node == *variable);
        let (Some(definition), Some(ty)) = (definition, ty) else {
            continue;
        };
        let given = &definition.node.var_type.node;
        let own_default = definition
            .node
            .default_value
            .as_ref()
            .map(|value| &value.node);
        let is_never_null = own_default.is_some_and(|value| *value != Value::Null);
        if !walk::fits(given, ty, is_never_null || *has_default) {
            let message = format!(
                "Variable \"{variable}\" of type \"{given}\" used in position expecting type \"{ty}\""
            );
            return Err(ServerError::new(message, Some(*pos)));
        }
    }
    Ok(())
}

/// Every variable that is needed is given.
fn check_given(operation: &OperationDefinition, variables: &Variables) -> ServerResult<()> {
    for definition in &operation.variable_definitions {
        let VariableDefinition {
            name,
            var_type,
            default_value,
            ..
        } = &definition.node;
        let is_given = match variables.get(&name.node) {
            Some(value) => *value != Value::Null,
            None => default_value.is_some(),
        };
        if !var_type.node.nullable && !is_given {
            let (name, ty) = (&name.node, &var_type.node);
            let message = format!("Variable \"{name}\" of type \"{ty}\" is required but not given");
            return Err(ServerError::new(message, Some(definition.pos)));
        }
    }
    Ok(())
}

/// Gives variables that are left out what they are to be.
fn complete(operation: &mut OperationDefinition, uses: &[&Use<'_>], variables: &Variables) {
    for variable in &mut operation.variable_definitions {
        let VariableDefinition {
            name,
            var_type,
            default_value,
            ..
        } = &mut variable.node;
        let is_left_out = default_value.is_none() && !variables.contains_key(&name.node);
        let mut uses = uses.iter().filter(|usage| usage.variable == name.node);
        if let Some(usage) = uses.next()
            && var_type.node.nullable
            && is_left_out
        {
            *default_value = Some(Positioned::new(usage.when_left_out(), variable.pos));
        }
    }
}
