//! One plot as SVG: lines over an axis, with bands behind them for the phases of a run.
//!
//! Nothing is drawn by a script: the text that comes out is the picture. Values are shown by the
//! browser when the pointer rests on a point.

use super::escape;
use super::scale::{Kind, Scale};
use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 36.0;
/// More points than this are not to be told apart.
const POINTS_MAX: usize = 600;
/// More points than this are not given a text of their own.
const DOTS_MAX: usize = 130;
/// Colours there are.
const COLOURS: usize = 8;

/// A plot.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// Its name in the page, for links and tests.
    pub(super) id: String,
    /// What it shows.
    pub(super) title: String,
    /// What is across.
    pub(super) across: &'static str,
    pub(super) x: Kind,
    pub(super) y: Kind,
    /// How values are written.
    pub(super) spell: fn(f64) -> String,
    pub(super) lines: Vec<Line>,
    pub(super) bands: Vec<Band>,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: usize,
    pub(super) dashed: bool,
    pub(super) points: Vec<[f64; 2]>,
}

/// A stretch of time that is shaded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) name: String,
}

// === impl Plot ===

impl Plot {
    /// The picture with its title and legend; nothing if there are no points.
    pub(super) fn figure(&self) -> String {
        let lines: Vec<Line> = self.lines.iter().filter_map(|l| self.thinned(l)).collect();
        if lines.is_empty() {
            return String::new();
        }
        let all = || lines.iter().flat_map(|l| &l.points);
        let x = match self.x {
            Kind::Linear => {
                let ends = all().fold((f64::MAX, f64::MIN), |(low, high), p| {
                    (low.min(p[0]), high.max(p[0]))
                });
                let low = self.bands.iter().map(|b| b.from).fold(ends.0, f64::min);
                Scale::between(low, ends.1)
            }
            kind => Scale::over(kind, all().map(|p| p[0])),
        };
        let y = Scale::over(self.y, all().map(|p| p[1]));
        let mut svg = format!(
            "<figure id=\"{id}\" class=\"plot\"><figcaption>{title}</figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">",
            id = escape(&self.id),
            title = escape(&self.title),
        );
        self.draw_bands(&mut svg, &x);
        self.draw_axes(&mut svg, &x, &y);
        for line in &lines {
            self.draw_line(&mut svg, line, &x, &y);
        }
        svg.push_str("</svg>");
        svg.push_str(&legend(&lines));
        svg.push_str("</figure>\n");
        svg
    }

    /// With fewer points: the highest of neighbours where peaks matter, else their mean.
    fn thinned(&self, line: &Line) -> Option<Line> {
        let finite = |p: &&[f64; 2]| p.iter().all(|v| v.is_finite());
        let points: Vec<[f64; 2]> = line.points.iter().filter(finite).copied().collect();
        if points.is_empty() {
            return None;
        }
        let size = points.len().div_ceil(POINTS_MAX);
        let chunk = |chunk: &[[f64; 2]]| {
            let values = chunk.iter().map(|p| p[1]);
            let value = match self.y {
                Kind::Log => values.fold(f64::MIN, f64::max),
                _ => values.sum::<f64>() / chunk.len() as f64,
            };
            [chunk[chunk.len() - 1][0], value]
        };
        Some(Line {
            points: points.chunks(size).map(chunk).collect(),
            ..line.clone()
        })
    }

    fn draw_bands(&self, svg: &mut String, x: &Scale) {
        for band in &self.bands {
            let (from, to) = (across(x.place(band.from)), across(x.place(band.to)));
            let _ = write!(
                svg,
                "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>\
                 <text class=\"band-name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                (to - from).max(0.0),
                HEIGHT - TOP - BOTTOM,
                from + 4.0,
                TOP + 12.0,
                escape(&band.name)
            );
        }
    }

    fn draw_axes(&self, svg: &mut String, x: &Scale, y: &Scale) {
        for (place, text) in y.marks(self.spell) {
            let at = down(place);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"mark y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                escape(&text)
            );
        }
        for (place, text) in x.marks(|v| format!("{v}")) {
            let at = across(place);
            let _ = write!(
                svg,
                "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text class=\"mark x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 4.0,
                HEIGHT - BOTTOM + 17.0,
                escape(&text)
            );
        }
        let _ = write!(
            svg,
            "<text class=\"mark x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 4.0,
            escape(self.across)
        );
    }

    fn draw_line(&self, svg: &mut String, line: &Line, x: &Scale, y: &Scale) {
        let place = |p: &[f64; 2]| (across(x.place(p[0])), down(y.place(p[1])));
        let dashed = if line.dashed { " dashed" } else { "" };
        let colour = line.colour % COLOURS;
        let _ = write!(svg, "<polyline class=\"line c{colour}{dashed}\" points=\"");
        for point in &line.points {
            let (x, y) = place(point);
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        svg.push_str("\"/>");
        if line.points.len() > DOTS_MAX {
            return;
        }
        for point in &line.points {
            let (x, y) = place(point);
            let at = match self.x {
                Kind::Nines => format!("{:.4} %", point[0] * 100.0),
                _ => format!("{:.1} s", point[0]),
            };
            let _ = write!(
                svg,
                "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{}: {} at {at}</title></circle>",
                escape(&line.name),
                escape(&(self.spell)(point[1])),
            );
        }
    }
}

fn legend(lines: &[Line]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for line in lines {
        let dashed = if line.dashed { " dashed" } else { "" };
        let _ = write!(
            html,
            "<li><span class=\"key c{}{dashed}\"></span>{}</li>",
            line.colour % COLOURS,
            escape(&line.name)
        );
    }
    html.push_str("</ul>");
    html
}

fn across(place: f64) -> f64 {
    LEFT + place * (WIDTH - LEFT - RIGHT)
}

fn down(place: f64) -> f64 {
    HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<[f64; 2]>) -> Plot {
        Plot {
            id: "p".into(),
            title: "a < b".into(),
            across: "seconds",
            x: Kind::Linear,
            y: Kind::Linear,
            spell: |v| format!("{v:.0}"),
            lines: vec![Line {
                name: "one & two".into(),
                colour: 1,
                dashed: false,
                points,
            }],
            bands: vec![Band {
                from: 0.0,
                to: 1.0,
                name: "warm-up".into(),
            }],
        }
    }

    #[test]
    fn a_line_goes_from_corner_to_corner_and_texts_are_escaped() {
        let svg = plot(vec![[0.0, 0.0], [2.0, 10.0]]).figure();
        assert!(svg.contains("points=\"64.0,264.0 612.0,14.0 \""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("one &amp; two: 10 at 2.0 s"));
        assert!(svg.contains("class=\"band\" x=\"64.0\"") && svg.contains(">warm-up<"));
    }

    #[test]
    fn many_points_become_few_and_none_become_nothing() {
        let points = (0..5_000).map(|n| [f64::from(n), 1.0]).collect();
        let svg = plot(points).figure();
        assert!(!svg.contains("<circle"));
        let line = svg.split("points=\"").nth(1).unwrap().split('"').next();
        assert!(line.unwrap().split_whitespace().count() <= POINTS_MAX);
        assert_eq!(plot(Vec::new()).figure(), "");
    }
}
