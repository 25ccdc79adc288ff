//! Dictionaries, defaults and types.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::lists::{NIL_POINTER, deep_equal, is_empty};
use super::strings::text_of;
use super::{Call, Function, Type, fixed, variadic};
use crate::template::value::Value;

const ANY: Type = Type::Any;
const STRING: Type = Type::String;
const MAP: Type = Type::Map;

pub(super) static TABLE: &[Function] = &[
    variadic("dict", &[ANY], dict),
    fixed("get", &[MAP, STRING], |call| {
        Ok(super::member(call.arg(0), call.text(1)).unwrap_or_else(|| Value::str("")))
    }),
    fixed("set", &[MAP, STRING, ANY], set),
    fixed("unset", &[MAP, STRING], |call| {
        if let Value::Map(map) = call.arg(0) {
            map.0.borrow_mut().remove(call.text(1));
        }
        Ok(call.arg(0).clone())
    }),
    fixed("hasKey", &[MAP, STRING], |call| {
        Ok(Value::Bool(
            super::member(call.arg(0), call.text(1)).is_some(),
        ))
    }),
    variadic("pluck", &[STRING, MAP], |call| {
        let found = call
            .rest(1)
            .iter()
            .filter_map(|map| super::member(map, call.text(0)));
        call.list(found.collect())
    }),
    variadic("keys", &[MAP], |call| {
        let keys = call
            .args
            .iter()
            .filter_map(Value::members)
            .flatten()
            .map(|(key, _)| key);
        Ok(Value::strings(keys))
    }),
    fixed("values", &[MAP], |call| {
        let members = call.arg(0).members().unwrap_or_default();
        call.list(members.into_iter().map(|(_, value)| value).collect())
    }),
    variadic("pick", &[MAP, STRING], |call| chosen(call, true)),
    variadic("omit", &[MAP, STRING], |call| chosen(call, false)),
    variadic("merge", &[MAP, MAP], |call| merge(call, false)),
    variadic("mustMerge", &[MAP, MAP], |call| merge(call, false)),
    variadic("mergeOverwrite", &[MAP, MAP], |call| merge(call, true)),
    variadic("mustMergeOverwrite", &[MAP, MAP], |call| merge(call, true)),
    variadic("dig", &[ANY], dig),
    fixed("deepCopy", &[ANY], |call| deep_copy(call, call.arg(0))),
    fixed("mustDeepCopy", &[ANY], |call| deep_copy(call, call.arg(0))),
    variadic("default", &[ANY, ANY], |call| {
        let given = call.args.get(1).filter(|given| !is_empty(given));
        Ok(given.unwrap_or_else(|| call.arg(0)).clone())
    }),
    fixed("empty", &[ANY], |call| {
        Ok(Value::Bool(is_empty(call.arg(0))))
    }),
    variadic("coalesce", &[ANY], |call| {
        Ok(call
            .args
            .iter()
            .find(|value| !is_empty(value))
            .cloned()
            .unwrap_or(Value::Nil))
    }),
    variadic("all", &[ANY], |call| {
        Ok(Value::Bool(!call.args.iter().any(is_empty)))
    }),
    variadic("any", &[ANY], |call| {
        Ok(Value::Bool(!call.args.iter().all(is_empty)))
    }),
    fixed("ternary", &[ANY, ANY, Type::Bool], |call| {
        Ok(call.arg(usize::from(!call.arg(2).truth())).clone())
    }),
    fixed("typeOf", &[ANY], |call| call.done(call.arg(0).type_name())),
    fixed("typeIs", &[STRING, ANY], |call| {
        Ok(Value::Bool(call.text(0) == call.arg(1).type_name()))
    }),
    fixed("typeIsLike", &[STRING, ANY], |call| {
        let kind = call.arg(1).type_name();
        Ok(Value::Bool(
            call.text(0) == kind.strip_prefix('*').unwrap_or(&kind) || call.text(0) == kind,
        ))
    }),
    fixed("kindOf", &[ANY], |call| call.done(call.arg(0).kind_name())),
    fixed("kindIs", &[STRING, ANY], |call| {
        Ok(Value::Bool(call.text(0) == call.arg(1).kind_name()))
    }),
    fixed("deepEqual", &[ANY, ANY], |call| {
        deep_equal(call, call.arg(0), call.arg(1)).map(Value::Bool)
    }),
    fixed("fail", &[STRING], |call| Err(call.text(0).to_owned())),
    fixed("hello", &[], |call| call.done("Hello!")),
];

fn dict(call: &Call<'_>) -> Result<Value, String> {
    let mut members = BTreeMap::new();
    for pair in call.args.chunks(2) {
        let key = text_of(call, &pair[0])?;
        members.insert(
            Rc::from(key),
            pair.get(1).cloned().unwrap_or_else(|| Value::str("")),
        );
    }
    call.work.charge(members.len())?;
    Ok(Value::map(members))
}

fn set(call: &Call<'_>) -> Result<Value, String> {
    let (target, value) = (call.arg(0), call.arg(2));
    if let Value::Map(map) = target {
        refuse_cycle(call, value, map)?;
        map.0
            .borrow_mut()
            .insert(call.text(1).into(), value.clone());
    }
    Ok(target.clone())
}

/// A dictionary within itself could never be printed, nor freed.
fn refuse_cycle(
    call: &Call<'_>,
    value: &Value,
    target: &Rc<crate::template::value::Map>,
) -> Result<(), String> {
    call.work.step()?;
    call.work.enter()?;
    if let Value::Map(map) = value
        && Rc::ptr_eq(map, target)
    {
        return Err("a dictionary cannot contain itself".to_owned());
    }
    if let Value::Map(_) | Value::List(_) = value {
        let inner = match value.members() {
            Some(members) => members.into_iter().map(|(_, value)| value).collect(),
            None => value.items().unwrap_or_default(),
        };
        for value in &inner {
            refuse_cycle(call, value, target)?;
        }
    }
    call.work.leave();
    Ok(())
}

fn chosen(call: &Call<'_>, wanted: bool) -> Result<Value, String> {
    let named = |key: &Rc<str>| {
        call.rest(1)
            .iter()
            .filter_map(Value::text)
            .any(|name| name == key)
    };
    let members = call.arg(0).members().unwrap_or_default();
    call.work.charge(members.len() * call.args.len())?;
    Ok(Value::map(
        members
            .into_iter()
            .filter(|(key, _)| named(key) == wanted)
            .collect(),
    ))
}

fn merge(call: &Call<'_>, overwrite: bool) -> Result<Value, String> {
    let Some((target, sources)) = call.args.split_first() else {
        return Ok(Value::Nil);
    };
    for source in sources {
        merge_into(call, (target, source), overwrite)?;
    }
    Ok(target.clone())
}

/// Adds what the target lacks; members that are dictionaries on both sides are merged.
fn merge_into(call: &Call<'_>, of: (&Value, &Value), overwrite: bool) -> Result<(), String> {
    let (target, source) = of;
    let Value::Map(map) = target else {
        return Ok(());
    };
    call.work.enter()?;
    for (key, value) in source.members().unwrap_or_default() {
        call.work.step()?;
        let known = map.0.borrow().get(&key).cloned();
        match (&known, &value) {
            (Some(inner @ Value::Map(_)), Value::Map(_)) => {
                merge_into(call, (inner, &value), overwrite)?;
            }
            (Some(known), _) if !is_empty(known) && (!overwrite || is_empty(&value)) => {}
            _ => {
                refuse_cycle(call, &value, map)?;
                map.0.borrow_mut().insert(key, value);
            }
        }
    }
    call.work.leave();
    Ok(())
}

fn dig(call: &Call<'_>) -> Result<Value, String> {
    let [keys @ .., default, dict] = call.args.as_slice() else {
        return Err("dig needs at least three arguments".to_owned());
    };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".to_owned());
    }
    let mut current = dict.clone();
    for key in keys {
        let Value::Map(_) = current else {
            let kind = if current.is_none() {
                "nil".to_owned()
            } else {
                current.type_name()
            };
            return Err(format!(
                "interface conversion: interface {{}} is {kind}, not map[string]interface {{}}"
            ));
        };
        let Value::Str(key) = key else {
            let kind = key.type_name();
            return Err(format!(
                "interface conversion: interface {{}} is {kind}, not string"
            ));
        };
        match super::member(&current, key) {
            Some(value) => current = value,
            None => return Ok(default.clone()),
        }
    }
    Ok(current)
}

fn deep_copy(call: &Call<'_>, value: &Value) -> Result<Value, String> {
    call.work.step()?;
    call.work.enter()?;
    let copy = match value {
        Value::Nil | Value::Invalid => Err(NIL_POINTER.to_owned()),
        Value::Map(_) => {
            let mut members = BTreeMap::new();
            for (key, member) in value.members().unwrap_or_default() {
                let copy = if member.is_none() {
                    member
                } else {
                    deep_copy(call, &member)?
                };
                members.insert(key, copy);
            }
            Ok(Value::map(members))
        }
        Value::List(_) => {
            let mut items = Vec::new();
            for item in value.items().unwrap_or_default() {
                items.push(if item.is_none() {
                    item
                } else {
                    deep_copy(call, &item)?
                });
            }
            Ok(Value::list(items))
        }
        value => Ok(value.clone()),
    };
    call.work.leave();
    copy
}
