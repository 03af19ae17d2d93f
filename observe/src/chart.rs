//! Charts: numbers become positions here, and SVG in the templates. Every chart has a title and a description, and the
//! page has its numbers as a table, too.

/// A bar of parts next to each other, for example findings by severity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StackedBar {
    /// The parts, from left to right; their widths sum to [`StackedBar::WIDTH`].
    pub(crate) parts: Vec<BarPart>,
}

/// A part of a bar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BarPart {
    pub(crate) class: String,
    pub(crate) label: String,
    pub(crate) x: String,
    pub(crate) width: String,
}

impl StackedBar {
    /// The width of all parts, in units of the drawing.
    pub(crate) const WIDTH: f64 = 1000.0;

    /// A bar of `class, label, value`. Parts without a value are left out; without any value there is no bar.
    pub(crate) fn of(values: &[(String, String, u64)]) -> Option<Self> {
        let total: f64 = values.iter().map(|(_, _, value)| number(*value)).sum();
        if total <= 0.0 {
            return None;
        }
        let mut x = 0.0;
        let mut parts = Vec::new();
        for (class, label, value) in values.iter().filter(|(_, _, value)| *value > 0) {
            let width = number(*value) / total * Self::WIDTH;
            let (class, label) = (class.clone(), label.clone());
            parts.push(BarPart { class, label, x: position(x), width: position(width) });
            x += width;
        }
        Some(Self { parts })
    }
}

/// A line over time with the area below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimeLine {
    /// Points of the line, as SVG wants them.
    pub(crate) line: String,
    /// Points of the area below the line.
    pub(crate) area: String,
    /// The highest value.
    pub(crate) peak: u64,
}

impl TimeLine {
    /// The width and height of the drawing in its units.
    pub(crate) const SIZE: (f64, f64) = (1000.0, 160.0);

    /// The growth per second of a count, from samples of `seconds, count`. `None` for fewer than two samples.
    pub(crate) fn of_rate(samples: &[(f64, u64)]) -> Option<Self> {
        let rates: Vec<(f64, f64)> = samples
            .windows(2)
            .filter(|pair| pair[1].0 > pair[0].0)
            .map(|pair| (pair[1].0, number(pair[1].1.saturating_sub(pair[0].1)) / (pair[1].0 - pair[0].0)))
            .collect();
        let (first, last) = (rates.first()?.0, rates.last()?.0);
        let highest = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let (width, height) = Self::SIZE;
        let span = if last > first { last - first } else { 1.0 };
        let scale = if highest > 0.0 { height / highest } else { 0.0 };
        let points: Vec<String> = rates
            .iter()
            .map(|(at, rate)| {
                let x = ((at - first) / span * width).clamp(0.0, width);
                format!("{},{}", position(x), position(height - rate * scale))
            })
            .collect();
        let line = points.join(" ");
        let end = position(((last - first) / span * width).clamp(0.0, width));
        let area = format!("0,{height} {line} {end},{height}");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of findings is far below 2^63"
        )]
        let peak = highest.round() as u64;
        Some(Self { line, area, peak })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a drawing has less than 53 bits of detail")]
fn number(value: u64) -> f64 {
    value as f64
}

/// A position with one decimal: more is not visible, and would make pages longer.
fn position(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_makes_no_chart() {
        assert_eq!(StackedBar::of(&[]), None);
        assert_eq!(StackedBar::of(&[("a".to_owned(), "A".to_owned(), 0)]), None);
        assert_eq!(TimeLine::of_rate(&[]), None);
        assert_eq!(TimeLine::of_rate(&[(0.0, 0)]), None);
    }

    #[test]
    fn rates_are_differences() {
        let line = TimeLine::of_rate(&[(0.0, 0), (1.0, 100), (3.0, 100)]).unwrap();
        assert_eq!(line.peak, 100);
        assert_eq!(line.line, "0.0,0.0 1000.0,160.0");
    }

    proptest! {
        #[test]
        fn parts_fill_the_bar(values in proptest::collection::vec(any::<u32>(), 1..8)) {
            let values: Vec<_> =
                values.iter().map(|value| (String::new(), String::new(), u64::from(*value))).collect();
            if let Some(bar) = StackedBar::of(&values) {
                let width: f64 = bar.parts.iter().map(|part| part.width.parse::<f64>().unwrap()).sum();
                prop_assert!((width - StackedBar::WIDTH).abs() < 0.06 * 8.0, "{}", width);
            }
        }

        #[test]
        fn points_stay_inside_the_drawing(samples in proptest::collection::vec((0.0..1e6_f64, any::<u64>()), 0..70)) {
            if let Some(line) = TimeLine::of_rate(&samples) {
                for point in line.line.split(' ') {
                    let (x, y) = point.split_once(',').unwrap();
                    prop_assert!((-0.1..=1000.1).contains(&x.parse::<f64>().unwrap()), "{}", point);
                    prop_assert!((-0.1..=160.1).contains(&y.parse::<f64>().unwrap()), "{}", point);
                }
            }
        }
    }
}
