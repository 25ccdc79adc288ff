//! Puts errors into Compass's words and the operations that were started into the extensions.

use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest,
};
use async_graphql::{Request, Response, ServerError, ServerResult, Value};

use super::accepted::Accepted;
use super::error::{extend, shown};
use crate::registry::Error;

/// Makes one [`Presenter`] per request.
pub(crate) struct Present;

impl ExtensionFactory for Present {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Presenter::default())
    }
}

#[derive(Default)]
struct Presenter {
    accepted: Accepted,
}

#[async_graphql::async_trait::async_trait]
impl Extension for Presenter {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let mut response = next.run(ctx).await;
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
        next.run(ctx, request.data(self.accepted.clone())).await
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
