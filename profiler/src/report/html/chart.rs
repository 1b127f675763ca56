//! Charts as SVG. Their colours are names: the page's style gives them those of the theme.

use maud::{Markup, PreEscaped};
use plotters::prelude::*;

use super::series::{Point, Span};

/// The colours of series, as `style.css` knows them; the last one is for all others.
pub(super) const SERIES: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x8a, 0x6f, 0xc8),
    RGBColor(0x9a, 0xa0, 0xa6),
];
const TEXT: RGBColor = RGBColor(0x3a, 0x3f, 0x45);
const GRID: RGBColor = RGBColor(0xdd, 0xe1, 0xe6);
const AXIS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);

/// The colours of events.
pub(super) const START: RGBColor = RGBColor(0x2e, 0x7d, 0x32);
pub(super) const END: RGBColor = RGBColor(0xc6, 0x28, 0x28);
pub(super) const OTHER: RGBColor = RGBColor(0x6a, 0x1b, 0x9a);

/// Room for labels beside and below a chart.
const BESIDE: u32 = 66;
const BELOW: u32 = 22;

/// What a chart counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    Bytes,
    Processors,
    BytesPerSecond,
    PerSecond,
}

/// A chart. Areas lie on each other, the first one at the bottom.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    pub(super) size: (u32, u32),
    pub(super) span: Span,
    pub(super) unit: Unit,
    pub(super) areas: Vec<(RGBColor, &'a [Point])>,
    pub(super) lines: Vec<(RGBColor, &'a [Point])>,
    pub(super) marks: &'a [(RGBColor, f64)],
}

impl Chart<'_> {
    /// Draws it.
    pub(super) fn draw(&self) -> Markup {
        let mut svg = String::new();
        self.draw_into(&mut svg)
            .expect("drawing into memory does not fail");
        PreEscaped(svg)
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let time = Scale::of_time(self.span);
        let stacked = self.stacked();
        let (low, high) = self.range(&stacked);
        let value = Scale::of(self.unit, high);
        let root = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(8)
            .margin_right(16)
            .x_label_area_size(BELOW)
            .y_label_area_size(BESIDE)
            .build_cartesian_2d(
                time.of_value(self.span.from)..time.of_value(self.span.to),
                value.of_value(low)..value.of_value(high),
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(("sans-serif", 12).into_font().color(&TEXT))
            .x_labels(usize::try_from(self.size.0 / 90).unwrap_or(4))
            .y_labels(usize::try_from(self.size.1 / 45).unwrap_or(4).max(2))
            .x_label_formatter(&|at| time.label(*at))
            .y_label_formatter(&|at| value.label(*at))
            .draw()?;
        let place = |point: &Point| (time.of_value(point.0), value.of_value(point.1));
        for (color, points) in stacked.iter().rev() {
            let points = points.iter().map(place);
            chart.draw_series(AreaSeries::new(points, value.of_value(low), color.filled()))?;
        }
        for (color, points) in &self.lines {
            let style = color.stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().map(place), style))?;
        }
        let marks = self.marks.iter().map(|(color, at)| {
            let ends = [(*at, low), (*at, high)].map(|end| place(&end));
            PathElement::new(ends.to_vec(), color.stroke_width(1))
        });
        chart.draw_series(marks)?;
        root.present()
    }

    /// Each area with all that lie below it.
    fn stacked(&self) -> Vec<(RGBColor, Vec<Point>)> {
        let mut below: Vec<f64> = Vec::new();
        let stacked = self.areas.iter().map(|(color, points)| {
            below.resize(points.len().max(below.len()), 0.0);
            let tops = points.iter().zip(&mut below).map(|((time, value), below)| {
                *below += value;
                (*time, *below)
            });
            (*color, tops.collect())
        });
        stacked.collect()
    }

    /// What the axis of values reaches from and to. Areas stand on zero; lines may be looked at
    /// more closely.
    fn range(&self, stacked: &[(RGBColor, Vec<Point>)]) -> (f64, f64) {
        let lines = self.lines.iter().flat_map(|(_, points)| points.iter());
        let all = stacked.iter().flat_map(|(_, points)| points).chain(lines);
        let values = all.map(|point| point.1);
        let least = match self.areas.as_slice() {
            [] => values.clone().fold(f64::MAX, f64::min),
            _ => 0.0,
        };
        let most = values.fold(0.0, f64::max);
        let floor = match self.unit {
            Unit::Bytes | Unit::BytesPerSecond => 1024.0,
            Unit::Processors => 0.1,
            Unit::PerSecond => 1.0,
        };
        let low = if least > 0.5 * most {
            0.95 * least
        } else {
            0.0
        };
        (low, (low + 1.1 * (most - low)).max(low + floor))
    }
}

/// What labels count, so that their numbers are round and short.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    unit: &'static str,
    size: f64,
}

impl Scale {
    const TIMES: [Self; 3] = [
        Self::new(" h", 3600.0),
        Self::new(" min", 60.0),
        Self::new(" s", 1.0),
    ];
    const BYTES: [Self; 4] = [
        Self::new(" GiB", 1_073_741_824.0),
        Self::new(" MiB", 1_048_576.0),
        Self::new(" KiB", 1024.0),
        Self::new(" B", 1.0),
    ];
    const BYTES_PER_SECOND: [Self; 4] = [
        Self::new(" GiB/s", 1_073_741_824.0),
        Self::new(" MiB/s", 1_048_576.0),
        Self::new(" KiB/s", 1024.0),
        Self::new(" B/s", 1.0),
    ];
    const PER_SECOND: [Self; 3] = [
        Self::new(" M/s", 1e6),
        Self::new(" k/s", 1e3),
        Self::new("/s", 1.0),
    ];

    const fn new(unit: &'static str, size: f64) -> Self {
        Self { unit, size }
    }

    /// The largest unit of which there are some.
    fn largest(units: &[Self], most: f64, fewest: f64) -> Self {
        let fits = |unit: &&Self| most >= fewest * unit.size;
        let last = units.last().copied();
        let found = units.iter().find(fits).copied().or(last);
        found.unwrap_or(Self::new("", 1.0))
    }

    fn of_time(span: Span) -> Self {
        Self::largest(&Self::TIMES, span.to, 3.0)
    }

    fn of(unit: Unit, most: f64) -> Self {
        match unit {
            Unit::Bytes => Self::largest(&Self::BYTES, most, 1.0),
            Unit::Processors => Self::new(" CPU", 1.0),
            Unit::BytesPerSecond => Self::largest(&Self::BYTES_PER_SECOND, most, 1.0),
            Unit::PerSecond => Self::largest(&Self::PER_SECOND, most, 10.0),
        }
    }

    fn of_value(self, value: f64) -> f64 {
        value / self.size
    }

    fn label(self, at: f64) -> String {
        let digits = [0_usize, 1, 2].into_iter().find(|digits| {
            let shift = 10_f64.powi(i32::try_from(*digits).unwrap_or(0));
            ((at * shift).round() - at * shift).abs() < 1e-6
        });
        format!("{at:.*}{}", digits.unwrap_or(2), self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span {
        from: 0.0,
        to: 600.0,
    };

    fn chart<'a>(points: &'a [Point], marks: &'a [(RGBColor, f64)]) -> Chart<'a> {
        Chart {
            size: (900, 260),
            span: SPAN,
            unit: Unit::Bytes,
            areas: vec![(SERIES[0], points), (SERIES[1], points)],
            lines: Vec::new(),
            marks,
        }
    }

    #[test]
    fn areas_lie_on_each_other_and_axes_have_round_numbers() {
        let points = [(0.0, 40e6), (600.0, 80e6)];
        let marks = [(START, 60.0)];
        let chart = chart(&points, &marks);
        let (_, top) = &chart.stacked()[1];
        assert!((top[1].1 - 160e6).abs() < 1.0);
        let svg = chart.draw().into_string();
        assert!(svg.contains("50 MiB"), "{svg}");
        assert!(svg.contains("10 min"), "{svg}");
        assert!(svg.contains("#2E7D32"), "{svg}");
        let colors = ["#0072B2", "#E69F00"].map(|color| svg.find(color).unwrap());
        assert!(colors[1] < colors[0], "what lies below is drawn later");
    }

    #[test]
    fn lines_alone_are_looked_at_closely() {
        let points = [(0.0, 100e6), (600.0, 101e6)];
        let mut chart = chart(&points, &[]);
        assert!(chart.range(&chart.stacked()).0.abs() < 1e-9);
        chart.areas.clear();
        chart.lines = vec![(SERIES[0], &points)];
        let (low, high) = chart.range(&[]);
        assert!(low > 90e6 && high < 110e6, "{low} {high}");
    }

    #[test]
    fn nothing_can_be_drawn() {
        let mut chart = chart(&[], &[]);
        chart.areas.clear();
        assert!(chart.draw().into_string().starts_with("<svg"));
    }

    #[test]
    fn labels_have_as_few_digits_as_they_need() {
        let scale = Scale::of(Unit::Bytes, 3e6);
        assert_eq!(scale.label(2.0), "2 MiB");
        assert_eq!(scale.label(2.5), "2.5 MiB");
        assert_eq!(scale.label(1.0 / 3.0), "0.33 MiB");
        assert_eq!(Scale::of(Unit::PerSecond, 900.0).label(50.0), "50/s");
        assert_eq!(Scale::of(Unit::PerSecond, 20_000.0).label(20.0), "20 k/s");
        assert_eq!(Scale::of(Unit::BytesPerSecond, 3e6).label(1.5), "1.5 MiB/s");
    }
}
