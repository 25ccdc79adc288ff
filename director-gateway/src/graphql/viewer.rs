//! Who asks.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};

use super::Options;

/// What kind of caller asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ViewerType {
    Runtime,
    Application,
    IntegrationSystem,
    User,
}

/// Who asks.
#[derive(SimpleObject)]
pub struct Viewer {
    pub id: ID,
    #[graphql(name = "type")]
    pub kind: ViewerType,
}

#[derive(Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// Who asks.
    async fn viewer(&self, ctx: &Context<'_>) -> Viewer {
        let user = &ctx.data_unchecked::<Options>().user;
        Viewer {
            id: ID::from(user),
            kind: ViewerType::User,
        }
    }
}
