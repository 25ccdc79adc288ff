//! Pages of lists.

use async_graphql::{Context, InputObject, SimpleObject};

use super::scalar::PageCursor;
use crate::registry::Error;
use crate::registry::cursor::{Page, Slice};
use crate::registry::filter;

/// Where a page lies in its list.
#[derive(Clone, Debug, SimpleObject)]
pub struct PageInfo {
    /// The cursor that was asked for; empty for the first page.
    pub start_cursor: PageCursor,
    /// The cursor of the next page; empty if there is none.
    pub end_cursor: PageCursor,
    pub has_next_page: bool,
}

/// Only objects with this label.
#[derive(Clone, Debug, InputObject)]
pub struct LabelFilter {
    pub key: String,
    /// JSON that the label's value contains; without it any value will do.
    pub query: Option<String>,
}

impl From<LabelFilter> for filter::LabelFilter {
    fn from(LabelFilter { key, query }: LabelFilter) -> Self {
        Self { key, query }
    }
}

pub(crate) fn filters(filters: Option<Vec<LabelFilter>>) -> Vec<filter::LabelFilter> {
    filters
        .unwrap_or_default()
        .into_iter()
        .map(Into::into)
        .collect()
}

/// The size of a page, which is at most 200.
pub(crate) fn size(first: Option<i32>) -> Result<u64, Error> {
    match u64::try_from(given(first)?) {
        Ok(size @ 1..=200) => Ok(size),
        _ => Err(Error::InvalidData(
            "page size must be between 1 and 200".to_owned(),
        )),
    }
}

/// The size of a page where Compass sets no limit of its own.
pub(crate) fn large_size(first: Option<i32>) -> Result<u64, Error> {
    const MAX: u64 = 10_000;
    match u64::try_from(given(first)?) {
        Ok(size @ 1..=MAX) => Ok(size),
        Ok(size) if size > MAX => Err(Error::InvalidData(format!(
            "page size cannot be greater than {MAX}"
        ))),
        _ => Err(Error::InvalidData(
            "page size cannot be smaller than 1".to_owned(),
        )),
    }
}

fn given(first: Option<i32>) -> Result<i32, Error> {
    first.ok_or_else(|| Error::InvalidData("missing required parameter 'first'".to_owned()))
}

/// What of a page the client wants to see, so that nothing else is read.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub rows: bool,
    pub count: bool,
}

impl Wanted {
    pub(crate) fn of(ctx: &Context<'_>) -> Self {
        let page = ctx.look_ahead();
        let rows = page.field("data").exists() || page.field("pageInfo").exists();
        Self {
            rows,
            count: page.field("totalCount").exists(),
        }
    }
}

/// The parts of a page's answer.
pub(crate) struct Parts<T> {
    pub data: Vec<T>,
    pub page_info: PageInfo,
    pub total_count: u64,
}

impl<T> Parts<T> {
    pub(crate) fn new<R>(page: Page, slice: Slice<R>, count: u64, wrap: impl Fn(R) -> T) -> Self {
        let end = if slice.has_next {
            page.next()
        } else {
            String::new()
        };
        let page_info = PageInfo {
            start_cursor: PageCursor(page.cursor),
            end_cursor: PageCursor(end),
            has_next_page: slice.has_next,
        };
        let data = slice.rows.into_iter().map(wrap).collect();
        Self {
            data,
            page_info,
            total_count: count,
        }
    }
}
