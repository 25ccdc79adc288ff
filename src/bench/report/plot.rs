//! Latency against load, drawn.

use std::fmt::Write as _;

use super::super::args::Workload;
use super::super::measure::Figures;
use super::super::stage::Backend;
use super::Round;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// A line of the drawing: load in operations per second, latency in milliseconds.
struct Line {
    name: String,
    colour: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// W1 in open loop: accept and end, median and 99th percentile, on each database.
pub(super) fn render(rounds: &[Round]) -> String {
    let lines = lines(rounds);
    let points = || lines.iter().flat_map(|line| &line.points);
    let widest = points().map(|point| point.0).fold(1.0, f64::max) * 1.05;
    let highest = points().map(|point| point.1).fold(1.0, f64::max);
    let lowest = points()
        .map(|point| point.1)
        .fold(highest, f64::min)
        .max(0.01);
    let (low, high) = (lowest.log10().floor(), highest.log10().ceil());
    let x = |load: f64| LEFT + load / widest * (WIDTH - LEFT - RIGHT);
    let y = |millis: f64| {
        let share = (millis.max(0.01).log10() - low) / (high - low).max(1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Latency of operations against load, open loop</text>\n"
    );
    axes(&mut svg, (low, high, widest), (&x, &y));
    for (number, line) in (0_u32..).zip(&lines) {
        let path: Vec<String> = line
            .points
            .iter()
            .map(|(load, millis)| format!("{:.1},{:.1}", x(*load), y(*millis)))
            .collect();
        let (colour, dash) = (line.colour, if line.dashed { "6 4" } else { "none" });
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (load, millis) in &line.points {
            let (x, y) = (x(*load), y(*millis));
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let (start, top) = (WIDTH - RIGHT + 12.0, TOP + 10.0 + f64::from(number) * 18.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{start}\" x2=\"{}\" y1=\"{top}\" y2=\"{top}\" stroke=\"{colour}\" \
             stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            start + 22.0,
            start + 28.0,
            top + 4.0,
            line.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

type Scale<'a> = &'a dyn Fn(f64) -> f64;

fn axes(svg: &mut String, (low, high, widest): (f64, f64, f64), (x, y): (Scale<'_>, Scale<'_>)) {
    let mut power = low;
    while power <= high {
        let millis = 10_f64.powf(power);
        let at = y(millis);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{millis} ms</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        );
        power += 1.0;
    }
    for part in 0_u32..=5 {
        let load = widest / 5.0 * f64::from(part);
        let at = x(load);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{load:.0}</text>",
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">operations per second</text>",
        x(widest / 2.0),
        HEIGHT - 10.0
    );
}

type Value = fn(&Figures) -> f64;

fn lines(rounds: &[Round]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (database, colours) in [
        (Backend::Sqlite, ["#1b7f3b", "#7bc896"]),
        (Backend::Postgres, ["#1f4e9c", "#83aee8"]),
    ] {
        let rows = rounds.iter().filter(|round| round.database == database);
        let rows = rows.flat_map(|round| &round.rows);
        let mut open: Vec<(f64, &Figures)> = rows
            .filter(|row| row.workload == Workload::W1)
            .filter_map(|row| Some((row.figures.rate?, &row.figures)))
            .collect();
        open.sort_by(|one, other| one.0.total_cmp(&other.0));
        if open.is_empty() {
            continue;
        }
        let name = database.name();
        let points = |value: Value| {
            open.iter()
                .map(|(rate, figures)| (*rate, value(figures)))
                .collect()
        };
        let all: [(&str, Value); 4] = [
            ("accept p50", |figures| figures.all.accept.p50),
            ("accept p99", |figures| figures.all.accept.p99),
            ("done p50", |figures| figures.all.end.p50),
            ("done p99", |figures| figures.all.end.p99),
        ];
        for (number, (what, value)) in all.into_iter().enumerate() {
            lines.push(Line {
                name: format!("{name} {what}"),
                colour: colours[number / 2],
                dashed: number % 2 == 1,
                points: points(value),
            });
        }
    }
    lines
}
