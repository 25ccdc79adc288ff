//! Lists.

use super::strings::{all_texts, text_of};
use super::{Call, Function, Type, fixed, variadic};
use crate::template::value::{Kind, Value};
use crate::template::work::STEP;

const ANY: Type = Type::Any;
pub(super) const NIL_POINTER: &str =
    "runtime error: invalid memory address or nil pointer dereference";

pub(super) static TABLE: &[Function] = &[
    variadic("list", &[ANY], |call| call.list(call.args.clone())),
    variadic("tuple", &[ANY], |call| call.list(call.args.clone())),
    fixed("append", &[ANY, ANY], push),
    fixed("push", &[ANY, ANY], push),
    fixed("mustAppend", &[ANY, ANY], push),
    fixed("mustPush", &[ANY, ANY], push),
    fixed("prepend", &[ANY, ANY], prepend),
    fixed("mustPrepend", &[ANY, ANY], prepend),
    fixed("first", &[ANY], first),
    fixed("mustFirst", &[ANY], first),
    fixed("last", &[ANY], last),
    fixed("mustLast", &[ANY], last),
    fixed("rest", &[ANY], rest),
    fixed("mustRest", &[ANY], rest),
    fixed("initial", &[ANY], initial),
    fixed("mustInitial", &[ANY], initial),
    fixed("reverse", &[ANY], reverse),
    fixed("mustReverse", &[ANY], reverse),
    fixed("uniq", &[ANY], uniq),
    fixed("mustUniq", &[ANY], uniq),
    fixed("compact", &[ANY], compact),
    fixed("mustCompact", &[ANY], compact),
    variadic("without", &[ANY, ANY], without),
    variadic("mustWithout", &[ANY, ANY], without),
    fixed("has", &[ANY, ANY], has),
    fixed("mustHas", &[ANY, ANY], has),
    variadic("slice", &[ANY, ANY], slice),
    variadic("mustSlice", &[ANY, ANY], slice),
    variadic("concat", &[ANY], concat),
    fixed("chunk", &[Type::Int, ANY], chunk),
    fixed("mustChunk", &[Type::Int, ANY], chunk),
    fixed("sortAlpha", &[ANY], sort_alpha),
    fixed("toStrings", &[ANY], |call| {
        Ok(Value::strings(all_texts(call, call.arg(0))?))
    }),
];

/// The elements of a list argument, or the error that says what else it is.
fn items(call: &Call<'_>, index: usize, what: &str) -> Result<Vec<Value>, String> {
    let value = call.arg(index);
    if value.is_none() {
        return Err(NIL_POINTER.to_owned());
    }
    let items = value
        .items()
        .ok_or_else(|| format!("Cannot {what} {}", value.kind_name()))?;
    call.work.charge(items.len() * STEP)?;
    Ok(items)
}

fn push(call: &Call<'_>) -> Result<Value, String> {
    let mut list = items(call, 0, "push on type")?;
    list.push(call.arg(1).clone());
    Ok(Value::list(list))
}

fn prepend(call: &Call<'_>) -> Result<Value, String> {
    let mut list = items(call, 0, "prepend on type")?;
    list.insert(0, call.arg(1).clone());
    Ok(Value::list(list))
}

fn first(call: &Call<'_>) -> Result<Value, String> {
    Ok(items(call, 0, "find first on type")?
        .into_iter()
        .next()
        .unwrap_or(Value::Nil))
}

fn last(call: &Call<'_>) -> Result<Value, String> {
    Ok(items(call, 0, "find last on type")?
        .pop()
        .unwrap_or(Value::Nil))
}

fn rest(call: &Call<'_>) -> Result<Value, String> {
    Ok(Value::list(
        items(call, 0, "find rest on type")?
            .into_iter()
            .skip(1)
            .collect(),
    ))
}

fn initial(call: &Call<'_>) -> Result<Value, String> {
    let mut list = items(call, 0, "find initial on type")?;
    list.pop();
    Ok(Value::list(list))
}

fn reverse(call: &Call<'_>) -> Result<Value, String> {
    let mut list = items(call, 0, "find reverse on type")?;
    list.reverse();
    Ok(Value::list(list))
}

fn compact(call: &Call<'_>) -> Result<Value, String> {
    let list = items(call, 0, "compact on type")?;
    Ok(Value::list(
        list.into_iter().filter(|item| !is_empty(item)).collect(),
    ))
}

fn uniq(call: &Call<'_>) -> Result<Value, String> {
    let mut kept = Vec::new();
    for item in items(call, 0, "find uniq on type")? {
        if !contains(call, &kept, &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn without(call: &Call<'_>) -> Result<Value, String> {
    let mut kept = Vec::new();
    for item in items(call, 0, "find without on type")? {
        if !contains(call, call.rest(1), &item)? {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn has(call: &Call<'_>) -> Result<Value, String> {
    if call.arg(1).is_none() {
        return Ok(Value::Bool(false));
    }
    let list = items(call, 1, "find has on type")?;
    contains(call, &list, call.arg(0)).map(Value::Bool)
}

fn slice(call: &Call<'_>) -> Result<Value, String> {
    let value = call.arg(0);
    if value.is_none() {
        return Err(NIL_POINTER.to_owned());
    }
    let kind = value.kind_name();
    let items = value
        .items()
        .ok_or_else(|| format!("list should be type of slice or array but {kind}"))?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |index: usize, default: usize| match call.args.get(index) {
        Some(value) => usize::try_from(super::numbers::to_int(value)).ok(),
        None => Some(default),
    };
    let range = bound(1, 0).zip(bound(2, items.len()));
    let taken = range.and_then(|(start, end)| items.get(start..end));
    let taken = taken.ok_or("reflect.Value.Slice: slice index out of bounds")?;
    match value {
        Value::Strings(_) => Ok(Value::strings(
            taken.iter().filter_map(Value::text).cloned(),
        )),
        _ => call.list(taken.to_vec()),
    }
}

fn concat(call: &Call<'_>) -> Result<Value, String> {
    let mut joined = Vec::new();
    for value in &call.args {
        if value.is_none() {
            return Err(NIL_POINTER.to_owned());
        }
        let kind = value.kind_name();
        let items = value
            .items()
            .ok_or_else(|| format!("Cannot concat type {kind} as list"))?;
        call.work.charge(items.len() * STEP)?;
        joined.extend(items);
    }
    Ok(Value::list(joined))
}

fn chunk(call: &Call<'_>) -> Result<Value, String> {
    let list = items(call, 1, "chunk type")?;
    let size = usize::try_from(call.int(0)).ok().filter(|size| *size > 0);
    let size = size.ok_or("runtime error: makeslice: len out of range")?;
    Ok(Value::list(
        list.chunks(size)
            .map(|part| Value::list(part.to_vec()))
            .collect(),
    ))
}

fn sort_alpha(call: &Call<'_>) -> Result<Value, String> {
    let value = call.arg(0);
    if value.kind() != Kind::Slice {
        return Ok(Value::strings([text_of(call, value)?]));
    }
    let mut texts = all_texts(call, value)?;
    texts.sort_unstable();
    Ok(Value::strings(texts))
}

fn contains(call: &Call<'_>, items: &[Value], wanted: &Value) -> Result<bool, String> {
    for item in items {
        if deep_equal(call, item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a value counts as not given.
pub(super) fn is_empty(value: &Value) -> bool {
    match value.kind() {
        Kind::Struct => false,
        _ => !value.truth(),
    }
}

/// `reflect.DeepEqual`: of one type and the same throughout.
pub(super) fn deep_equal(call: &Call<'_>, one: &Value, two: &Value) -> Result<bool, String> {
    call.work.step()?;
    call.work.enter()?;
    let equal = deep_equal_parts(call, one, two);
    call.work.leave();
    equal
}

fn deep_equal_parts(call: &Call<'_>, one: &Value, two: &Value) -> Result<bool, String> {
    if one.is_none() || two.is_none() {
        return Ok(one.is_none() && two.is_none());
    }
    if one.type_name() != two.type_name() {
        return Ok(false);
    }
    if let (Some(one), Some(two)) = (one.members(), two.members()) {
        let mut equal = one.len() == two.len();
        for ((key, value), (other_key, other)) in one.iter().zip(&two) {
            equal = equal && key == other_key && deep_equal(call, value, other)?;
        }
        return Ok(equal);
    }
    if let (Some(one), Some(two)) = (one.items(), two.items()) {
        let mut equal = one.len() == two.len();
        for (value, other) in one.iter().zip(&two) {
            equal = equal && deep_equal(call, value, other)?;
        }
        return Ok(equal);
    }
    Ok(match (one, two) {
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::Byte(one), Value::Byte(two)) => one == two,
        (Value::StrPtr(one), Value::StrPtr(two)) => one == two,
        (Value::Complex(a, b), Value::Complex(c, d)) => (a, b) == (c, d),
        _ => match one.kind() {
            Kind::Int => one.as_int() == two.as_int(),
            Kind::Float => one.as_f64() == two.as_f64(),
            Kind::String => one.text() == two.text(),
            _ => false,
        },
    })
}
