//! Variables that the client leaves out.
//!
//! By the GraphQL specification an argument whose variable is left out is as good as absent, so
//! it gets its default. The library fails such an argument instead. So each variable that is left
//! out and has no default gets that of the argument it is used for, or null, before validation.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, FragmentDefinition, OperationDefinition, Selection, SelectionSet, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Name, Positioned, ServerResult, Value, Variables};
use async_graphql_value::Value as Literal;

/// Defaults of nullable arguments by the names of field and argument.
type Defaults = HashMap<(String, String), Value>;

/// The extension, made from the schema it is for.
pub(crate) struct OmittedVariables(Arc<Defaults>);

impl OmittedVariables {
    pub(crate) fn of(sdl: &str) -> Self {
        let mut defaults = Defaults::new();
        for definition in parse_schema(sdl)
            .into_iter()
            .flat_map(|schema| schema.definitions)
        {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let TypeKind::Object(object) = definition.node.kind else {
                continue;
            };
            for field in object.fields {
                for argument in field.node.arguments {
                    if !argument.node.ty.node.nullable {
                        continue;
                    }
                    let default = argument.node.default_value.map(|value| value.node);
                    let field = field.node.name.node.to_string();
                    let argument = argument.node.name.node.to_string();
                    defaults.insert((field, argument), default.unwrap_or_default());
                }
            }
        }
        Self(Arc::new(defaults))
    }
}

impl ExtensionFactory for OmittedVariables {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self(self.0.clone()))
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for OmittedVariables {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let mut document = next.run(ctx, query, variables).await?;
        let ExecutableDocument {
            operations,
            fragments,
        } = &mut document;
        for operation in operations_mut(operations) {
            self.complete(operation, fragments, variables);
        }
        Ok(document)
    }
}

fn operations_mut(
    operations: &mut async_graphql::parser::types::DocumentOperations,
) -> Vec<&mut OperationDefinition> {
    use async_graphql::parser::types::DocumentOperations;
    match operations {
        DocumentOperations::Single(operation) => vec![&mut operation.node],
        DocumentOperations::Multiple(operations) => operations
            .values_mut()
            .map(|operation| &mut operation.node)
            .collect(),
    }
}

impl OmittedVariables {
    fn complete(
        &self,
        operation: &mut OperationDefinition,
        fragments: &HashMap<Name, Positioned<FragmentDefinition>>,
        variables: &Variables,
    ) {
        let is_omitted = |definition: &async_graphql::parser::types::VariableDefinition| {
            definition.var_type.node.nullable
                && definition.default_value.is_none()
                && !variables.contains_key(&definition.name.node)
        };
        if !operation
            .variable_definitions
            .iter()
            .any(|variable| is_omitted(&variable.node))
        {
            return;
        }
        let mut uses = HashMap::new();
        self.collect(&operation.selection_set.node, &mut uses);
        for fragment in fragments.values() {
            self.collect(&fragment.node.selection_set.node, &mut uses);
        }
        for variable in &mut operation.variable_definitions {
            let default = uses.get(variable.node.name.node.as_str());
            if let Some(Some(default)) = default
                && is_omitted(&variable.node)
            {
                let pos = variable.pos;
                variable.node.default_value = Some(Positioned::new(default.clone(), pos));
            }
        }
    }

    /// What each variable is to be when it is left out; `None` where an argument needs it.
    fn collect(&self, selections: &SelectionSet, uses: &mut HashMap<String, Option<Value>>) {
        for selection in &selections.items {
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    for (argument, value) in &field.arguments {
                        let key = (field.name.node.to_string(), argument.node.to_string());
                        note(&value.node, self.0.get(&key), uses);
                    }
                    self.collect(&field.selection_set.node, uses);
                }
                Selection::InlineFragment(fragment) => {
                    self.collect(&fragment.node.selection_set.node, uses);
                }
                // Definitions of fragments are looked at once each.
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

fn note(value: &Literal, default: Option<&Value>, uses: &mut HashMap<String, Option<Value>>) {
    match value {
        Literal::Variable(name) => {
            let noted = uses
                .entry(name.to_string())
                .or_insert_with(|| default.cloned());
            if default.is_none() {
                *noted = None;
            }
        }
        Literal::List(items) => items
            .iter()
            .for_each(|item| note(item, Some(&Value::Null), uses)),
        Literal::Object(members) => {
            members
                .values()
                .for_each(|member| note(member, Some(&Value::Null), uses));
        }
        _ => {}
    }
}
