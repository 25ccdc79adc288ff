//! Dates that a template gives itself. None is the present, and every one is in UTC: no function
//! reads the clock or the machine's time zones.

use std::rc::Rc;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Timelike as _, Utc};

use super::durations::parse_duration;
use super::{Call, Function, Type, fixed};
use crate::template::value::{Time, Value};

const ANY: Type = Type::Any;
const STRING: Type = Type::String;

pub(super) static TABLE: &[Function] = &[
    fixed("toDate", &[STRING, STRING], |call| {
        Ok(moment(
            parse(call.text(0), call.text(1)).unwrap_or_else(zero),
        ))
    }),
    fixed("mustToDate", &[STRING, STRING], |call| {
        parse_or_say(call).map(moment)
    }),
    fixed("date", &[STRING, ANY], |call| {
        in_zone(call, "UTC", call.text(0))
    }),
    fixed("dateInZone", &[STRING, ANY, STRING], |call| {
        in_zone(call, call.text(2), call.text(0))
    }),
    fixed("date_in_zone", &[STRING, ANY, STRING], |call| {
        in_zone(call, call.text(2), call.text(0))
    }),
    fixed("htmlDate", &[ANY], |call| html(call, "UTC")),
    fixed("htmlDateInZone", &[ANY, STRING], |call| {
        html(call, call.text(1))
    }),
    fixed("dateModify", &[STRING, ANY], |call| {
        Ok(modified(call).unwrap_or_else(|_| call.arg(1).clone()))
    }),
    fixed("date_modify", &[STRING, ANY], |call| {
        Ok(modified(call).unwrap_or_else(|_| call.arg(1).clone()))
    }),
    fixed("mustDateModify", &[STRING, ANY], modified),
    fixed("must_date_modify", &[STRING, ANY], modified),
    fixed("unixEpoch", &[ANY], |call| {
        call.done(time_of(call.arg(0))?.timestamp().to_string())
    }),
];

fn zero() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(1, 1, 1)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map_or(DateTime::UNIX_EPOCH, |time| time.and_utc())
}

fn moment(time: DateTime<Utc>) -> Value {
    let text = time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    Value::Time(Rc::new(Time {
        text,
        computed: Some(time.fixed_offset()),
        pointer: false,
    }))
}

fn time_of(value: &Value) -> Result<DateTime<Utc>, String> {
    match value {
        Value::Time(time) => Ok(time.parsed().map_or_else(zero, |time| time.to_utc())),
        Value::Int(seconds) | Value::Int64(seconds) => {
            Ok(DateTime::from_timestamp(*seconds, 0).unwrap_or_else(zero))
        }
        other => Err(format!("a value of type {} is no date", other.type_name())),
    }
}

fn in_zone(call: &Call<'_>, zone: &str, layout: &str) -> Result<Value, String> {
    if !matches!(zone, "" | "UTC" | "Local") {
        return Err(format!("the time zone {zone} is not known"));
    }
    let text = format(time_of(call.arg(1))?, layout);
    call.done(text)
}

fn html(call: &Call<'_>, zone: &str) -> Result<Value, String> {
    if !matches!(zone, "" | "UTC" | "Local") {
        return Err(format!("the time zone {zone} is not known"));
    }
    call.done(format(time_of(call.arg(0))?, "2006-01-02"))
}

fn modified(call: &Call<'_>) -> Result<Value, String> {
    let text = call.text(0);
    let nanoseconds = parse_duration(text)
        .ok_or_else(|| format!("time: invalid duration {}", crate::template::quoted(text)))?;
    let time = time_of(call.arg(1))?;
    Ok(moment(
        time.checked_add_signed(TimeDelta::nanoseconds(nanoseconds))
            .unwrap_or(time),
    ))
}

/// The elements of Go's layouts; of those that begin alike, the longer one first.
const ELEMENTS: [&str; 24] = [
    "January", "Jan", "Monday", "Mon", "MST", "2006", "-07:00", "-0700", "-07", "Z07:00", "Z0700",
    "01", "02", "03", "04", "05", "06", "15", "PM", "pm", "_2", "1", "2", "3",
];
const MORE_ELEMENTS: [&str; 2] = ["4", "5"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The element that a layout begins with.
fn element(layout: &str) -> Option<&'static str> {
    let mut elements = ELEMENTS.iter().chain(&MORE_ELEMENTS);
    elements
        .find(|element| layout.starts_with(**element))
        .copied()
}

fn name(names: &[&'static str], index: u32) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default()
}

fn format(time: DateTime<Utc>, layout: &str) -> String {
    let mut text = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let Some(element) = element(rest) else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[element.len()..];
        let (_, hour) = time.hour12();
        let month = name(&MONTHS, time.month0());
        let day = name(&DAYS, time.weekday().num_days_from_monday());
        let part = match element {
            "January" => month.to_owned(),
            "Jan" => month[..3].to_owned(),
            "Monday" => day.to_owned(),
            "Mon" => day[..3].to_owned(),
            "MST" => "UTC".to_owned(),
            "2006" => format!("{:04}", time.year()),
            "06" => format!("{:02}", time.year().rem_euclid(100)),
            "01" => format!("{:02}", time.month()),
            "1" => time.month().to_string(),
            "02" => format!("{:02}", time.day()),
            "_2" => format!("{:2}", time.day()),
            "2" => time.day().to_string(),
            "15" => format!("{:02}", time.hour()),
            "03" => format!("{hour:02}"),
            "3" => hour.to_string(),
            "04" => format!("{:02}", time.minute()),
            "4" => time.minute().to_string(),
            "05" => format!("{:02}", time.second()),
            "5" => time.second().to_string(),
            "PM" => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "-0700" => "+0000".to_owned(),
            "-07" => "+00".to_owned(),
            _ => "Z".to_owned(),
        };
        text.push_str(&part);
    }
    text
}

fn parse_or_say(call: &Call<'_>) -> Result<DateTime<Utc>, String> {
    let (layout, text) = (call.text(0), call.text(1));
    parse(layout, text).ok_or_else(|| {
        let quoted = crate::template::quoted;
        format!(
            "parsing time {} as {}: cannot parse",
            quoted(text),
            quoted(layout)
        )
    })
}

/// The parts of a time that is being read.
#[derive(Default)]
struct Parts {
    year: i32,
    month0: u32,
    day0: u32,
    hour: u32,
    minute: u32,
    second: u32,
    afternoon: Option<bool>,
    /// Seconds east of UTC.
    offset: i64,
}

/// Reads a time by a layout; None where the text does not follow it.
fn parse(layout: &str, text: &str) -> Option<DateTime<Utc>> {
    let mut parts = Parts::default();
    let (mut layout, mut text) = (layout, text);
    while let Some(c) = layout.chars().next() {
        if let Some(element) = element(layout) {
            layout = &layout[element.len()..];
            parts.read(element, &mut text)?;
        } else {
            text = text.strip_prefix(c)?;
            layout = &layout[c.len_utf8()..];
        }
    }
    if text.is_empty() { parts.time() } else { None }
}

impl Parts {
    fn read(&mut self, element: &str, text: &mut &str) -> Option<()> {
        match element {
            "2006" => self.year = i32::try_from(digits(text, 4, 4)?).ok()?,
            "06" => {
                let short = i32::try_from(digits(text, 2, 2)?).ok()?;
                self.year = if short >= 69 {
                    1900 + short
                } else {
                    2000 + short
                };
            }
            "January" => self.month0 = named(text, &MONTHS, None)?,
            "Jan" => self.month0 = named(text, &MONTHS, Some(3))?,
            "Monday" => drop(named(text, &DAYS, None)?),
            "Mon" => drop(named(text, &DAYS, Some(3))?),
            "01" => self.month0 = digits(text, 2, 2)?.checked_sub(1)?,
            "1" => self.month0 = digits(text, 1, 2)?.checked_sub(1)?,
            "02" => self.day0 = digits(text, 2, 2)?.checked_sub(1)?,
            "_2" => {
                *text = text.trim_start_matches(' ');
                self.day0 = digits(text, 1, 2)?.checked_sub(1)?;
            }
            "2" => self.day0 = digits(text, 1, 2)?.checked_sub(1)?,
            "15" | "03" => self.hour = digits(text, 2, 2)?,
            "3" => self.hour = digits(text, 1, 2)?,
            "04" => self.minute = digits(text, 2, 2)?,
            "4" => self.minute = digits(text, 1, 2)?,
            "05" => self.second = digits(text, 2, 2)?,
            "5" => self.second = digits(text, 1, 2)?,
            "PM" | "pm" => {
                let mark = text.get(..2)?.to_ascii_uppercase();
                self.afternoon = Some(mark == "PM").filter(|_| mark == "AM" || mark == "PM");
                self.afternoon?;
                *text = &text[2..];
            }
            "MST" => {
                *text = text
                    .strip_prefix("UTC")
                    .or_else(|| text.strip_prefix("GMT"))?;
            }
            zone => self.offset = zone_offset(text, zone)?,
        }
        Some(())
    }

    fn time(&self) -> Option<DateTime<Utc>> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = NaiveDate::from_ymd_opt(self.year, self.month0 + 1, self.day0 + 1)?;
        let time = date.and_hms_opt(hour, self.minute, self.second)?;
        Some(time.and_utc() - TimeDelta::seconds(self.offset))
    }
}

fn digits(text: &mut &str, least: usize, most: usize) -> Option<u32> {
    let length = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if length < least {
        return None;
    }
    let number = text[..length].parse().ok()?;
    *text = &text[length..];
    Some(number)
}

fn named(text: &mut &str, names: &[&str], length: Option<usize>) -> Option<u32> {
    for (index, name) in names.iter().enumerate() {
        let name = &name[..length.unwrap_or(name.len())];
        if text
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
        {
            *text = &text[name.len()..];
            return u32::try_from(index).ok();
        }
    }
    None
}

fn zone_offset(text: &mut &str, zone: &str) -> Option<i64> {
    if zone.starts_with('Z')
        && let Some(rest) = text.strip_prefix('Z')
    {
        *text = rest;
        return Some(0);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    *text = &text[1..];
    let hours = digits(text, 2, 2)?;
    if zone.contains(':') {
        *text = text.strip_prefix(':')?;
    }
    let minutes = if zone == "-07" {
        0
    } else {
        digits(text, 2, 2)?
    };
    Some(sign * i64::from(hours * 3600 + minutes * 60))
}
