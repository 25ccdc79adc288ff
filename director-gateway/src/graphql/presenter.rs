//! Makes the answer what clients expect: nulls where the specification puts them, errors in
//! Compass's words, the operations that were started in the extensions.
//!
//! The library leaves a field that fails out of its object, whatever its type. By the
//! specification it is null, and where its type does not allow that, the object around it is. So
//! every field's result passes here: a failure becomes null or, where null is not allowed, a mark
//! that breaks the object or list that it stands in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextPrepareRequest, NextRequest,
    NextResolve, NextValidation, ResolveInfo,
};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{
    Name, Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables,
};
use indexmap::IndexMap;

use super::accepted::Accepted;
use super::document::Documents;
use super::error::{extend, shown};
use crate::guard::Validity;
use crate::registry::Error;

/// Stands for a null that is not allowed. No enum has a value of this name.
const BROKEN: &str = "!";

/// Makes one [`Presenter`] per request.
pub(crate) struct Present(pub Documents);

impl ExtensionFactory for Present {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Presenter {
            documents: self.0.clone(),
            operation: Mutex::default(),
            accepted: Accepted::default(),
            failed: Mutex::default(),
        })
    }
}

/// Also what has documents completed: every extension of the library costs each field an allocation.
struct Presenter {
    documents: Documents,
    /// The name of the operation that is to be executed.
    operation: Mutex<Option<String>>,
    accepted: Accepted,
    failed: Mutex<Vec<ServerError>>,
}

#[async_graphql::async_trait::async_trait]
impl Extension for Presenter {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(ctx).await;
        response.errors.append(&mut locked(&self.failed));
        if is_broken(&response.data) {
            response.data = Value::Null;
        } else if response.data == Value::Null && response.errors.is_empty() {
            response.data = nothing_selected();
        }
        response.errors.iter_mut().for_each(present);
        if let Some((locations, operations)) = self.accepted.extensions() {
            response
                .extensions
                .insert("locations".to_owned(), locations);
            response
                .extensions
                .insert("operations".to_owned(), operations);
        }
        response
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        mut request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        // Clients that name no operation send an empty name.
        request.operation_name = request.operation_name.filter(|name| !name.is_empty());
        let request = request.data(self.accepted.clone());
        let request = next.run(ctx, request).await?;
        locked(&self.operation).clone_from(&request.operation_name);
        Ok(request)
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let mut document = next.run(ctx, query, variables).await?;
        if known(ctx).is_some() {
            return Ok(document);
        }
        let wanted = locked(&self.operation).take();
        self.documents
            .complete(&mut document, wanted.as_deref(), variables)?;
        Ok(document)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        if let Some(result) = known(ctx) {
            return Ok(result);
        }
        let result = next.run(ctx).await?;
        if let Some(validity) = ctx.data_opt::<Validity>() {
            validity.set(result);
        }
        Ok(result)
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let is_nullable = !info.return_type.ends_with('!');
        let value = match next.run(ctx, info).await {
            Ok(Some(value)) if is_broken(&value) => Value::Null,
            Ok(Some(Value::Null)) if !is_nullable => return Ok(Some(nothing_selected())),
            Ok(other) => return Ok(other),
            Err(error) => {
                locked(&self.failed).push(error);
                Value::Null
            }
        };
        let broken = || Value::Enum(Name::new(BROKEN));
        Ok(Some(if is_nullable { value } else { broken() }))
    }
}

/// What the library found when it looked at the document of this request with variables like these.
fn known(ctx: &ExtensionContext<'_>) -> Option<ValidationResult> {
    ctx.data_opt::<Validity>().and_then(Validity::get)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An object of which everything is skipped; the library has null for it.
fn nothing_selected() -> Value {
    Value::Object(IndexMap::new())
}

/// Whether a null that is not allowed stands in the value.
fn is_broken(value: &Value) -> bool {
    let is_mark = |value: &Value| matches!(value, Value::Enum(name) if name.as_str() == BROKEN);
    match value {
        Value::Object(members) => members.values().any(is_mark),
        Value::List(items) => items.iter().any(is_mark),
        other => is_mark(other),
    }
}

fn present(error: &mut ServerError) {
    let loaded = error.source::<Arc<Error>>().cloned();
    let Some(known) = loaded.as_deref().or_else(|| error.source::<Error>()) else {
        // The document or a value in it does not fit the schema.
        extend(error.extensions.get_or_insert_default(), "InvalidData", 22);
        return;
    };
    let shown = shown(known, &error.path);
    let running = match known {
        Error::Concurrent { operation_id, .. } => *operation_id,
        _ => None,
    };
    error.message = shown.message;
    let extensions = error.extensions.get_or_insert_default();
    extend(extensions, shown.name, shown.code);
    if let Some(id) = running {
        extensions.set("operation_id", Value::from(id.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::{builder, sdl};

    #[tokio::test]
    async fn a_document_is_validated_once_for_all_requests_that_share_what_came_of_it() {
        let schema = builder().extension(Present(Documents::of(&sdl()))).finish();
        let validity = Validity::default();
        let ask = |document: &str| Request::new(document).data(validity.clone());
        let refused = schema.execute(ask("{ nothing }")).await;
        assert!(!refused.errors.is_empty());
        assert!(
            validity.get().is_none(),
            "what is refused is looked at again"
        );
        let answered = schema.execute(ask("{ __typename }")).await;
        assert!(answered.errors.is_empty(), "{:?}", answered.errors);
        assert!(validity.get().is_some());
        // Another document, which shows that nobody looks.
        let unseen = schema.execute(ask("{ nothing }")).await;
        assert_ne!(
            format!("{:?}", unseen.errors),
            format!("{:?}", refused.errors)
        );
    }
}
