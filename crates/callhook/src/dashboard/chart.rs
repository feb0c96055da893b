//! Charts, drawn on the server. Colours are those of the style sheet: it knows them again by the ones that stand here.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::iter;

/// A size of the drawing, in units that are about those of the page: scaled further, its words could not be read.
pub struct Size {
    width: u32,
    height: u32,
    /// Names below the columns: as many as stand beside each other.
    names: usize,
}

/// On a screen.
pub const WIDE: Size = Size { width: 880, height: 208, names: 12 };
/// On a phone.
pub const NARROW: Size = Size { width: 288, height: 184, names: 4 };
/// Height of letters with the room around them: some 12 units without it.
const LETTERS: u32 = 15;
/// Room above, for what the columns mean.
const LEGEND: u32 = 32;
/// Room below, for the columns' names.
const NAMES: u32 = 24;
/// Room on the left, for the figures.
const FIGURES: u32 = 44;
/// Lines above the lowest, at most.
const LINES_MAX: u64 = 5;
/// The thickness of a frame, and what lies between two columns or marks.
const GAP: u32 = 2;
/// The least height at which a frame is seen as one, and what is full as something.
const MARK_MIN: u64 = 6;
const DELIVERED: RGBColor = RGBColor(0x1c, 0x6b, 0x3c);
const FAILED: RGBColor = RGBColor(0xb3, 0x26, 0x1e);
const INK: RGBColor = RGBColor(0x5c, 0x60, 0x66);
const LINE: RGBColor = RGBColor(0xde, 0xdf, 0xdc);

/// What ended within a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Says which span.
    pub name: String,
    /// How many were delivered.
    pub delivered: u64,
    /// How many failed for good.
    pub failed: u64,
}

/// Columns beside each other: what was delivered is full, what failed is a frame upon it.
pub fn columns(columns: &[Column], size: &Size) -> String {
    let mut svg = String::new();
    // Cannot fail: it is drawn into a text. A chart that could not be drawn is none: the table has the same figures.
    if draw(columns, size, &mut svg).is_err() {
        return String::new();
    }
    svg
}

fn draw(columns: &[Column], size: &Size, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let most = columns.iter().map(|column| column.delivered + column.failed).max().unwrap_or_default();
    let (step, highest) = scale(most);
    let least = (highest * MARK_MIN).div_ceil((size.height - LEGEND - NAMES).into());
    let count = i32::try_from(columns.len())?;
    let area = SVGBackend::with_string(svg, (size.width, size.height)).into_drawing_area();
    let text = ("sans-serif", LETTERS).into_font().color(&INK);
    let word =
        |words: &'static str, x: i32| Text::new(words, (x, 9), text.pos(Pos::new(HPos::Left, VPos::Center)));
    area.draw(&Rectangle::new([(0, 4), (8, 15)], DELIVERED.filled()))?;
    area.draw(&word("✓ delivered", 14))?;
    area.draw(&Rectangle::new([(106, 5), (112, 14)], FAILED.stroke_width(GAP)))?;
    area.draw(&word("✕ failed", 119))?;
    let mut chart = ChartBuilder::on(&area)
        .margin_top(LEGEND)
        .x_label_area_size(NAMES)
        .y_label_area_size(FIGURES)
        .build_cartesian_2d(
            (0..count).into_segmented(),
            (0..highest).with_key_points((0..=highest / step).map(|line| line * step).collect()),
        )?;
    let named = columns.len().div_ceil(size.names).max(1);
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => {
            let at = usize::try_from(*at).ok().filter(|at| at.is_multiple_of(named));
            at.and_then(|at| columns.get(at)).map(|column| column.name.clone())
        }
        _ => None,
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .x_labels(columns.len())
        .label_style(text.pos(Pos::new(HPos::Center, VPos::Center)))
        .x_label_formatter(&|at| name(at).unwrap_or_default())
        .draw()?;
    let block = |at: i32, from: u64, to: u64, style: ShapeStyle, margin: u32| {
        let corners = [(SegmentValue::Exact(at), from), (SegmentValue::Exact(at + 1), to)];
        let mut block = Rectangle::new(corners, style);
        block.set_margin(margin, margin, margin, margin);
        block
    };
    let seen = |count: u64| if count == 0 { 0 } else { count.max(least) };
    let columns =
        || (0..count).zip(columns).map(|(at, column)| (at, seen(column.delivered), seen(column.failed)));
    let delivered = columns().filter(|(_, delivered, _)| *delivered > 0);
    chart.draw_series(delivered.map(|(at, delivered, _)| block(at, 0, delivered, DELIVERED.filled(), 1)))?;
    let failed = columns().filter(|(.., failed)| *failed > 0);
    chart.draw_series(failed.map(|(at, delivered, failed)| {
        block(at, delivered, delivered + failed, FAILED.stroke_width(GAP), GAP)
    }))?;
    drop(chart);
    area.present()?;
    drop(area);
    Ok(())
}

/// From one line to the next, 1, 2 or 5 with noughts behind; and the highest line, above all columns.
fn scale(most: u64) -> (u64, u64) {
    let most = most.max(LINES_MAX - 1);
    let powers = iter::successors(Some(1_u64), |power| power.checked_mul(10));
    let mut steps = powers.flat_map(|power| [1, 2, 5].map(|by| power.saturating_mul(by)));
    let step = steps.find(|step| most / step < LINES_MAX).unwrap_or(u64::MAX);
    (step, step.saturating_mul(most / step + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(delivered: u64, failed: u64) -> Column {
        Column { name: "10:00".to_owned(), delivered, failed }
    }

    #[test]
    fn what_failed_differs_from_what_was_delivered_in_more_than_its_colour() {
        let svg = columns(&[column(10, 0), column(3, 2), column(0, 0), column(1_000, 1)], &WIDE);
        assert_eq!(svg.matches("fill=\"#1C6B3C\"").count(), 4, "three columns and what they mean: {svg}");
        assert_eq!(svg.matches("fill=\"none\" stroke=\"#B3261E\"").count(), 3, "{svg}");
        assert!(svg.contains("✓ delivered") && svg.contains("✕ failed"));
        assert!(!svg.contains("height=\"-"), "{svg}");
        assert!(!svg.contains("style="), "the page's policy allows no inline style: {svg}");
    }

    #[test]
    fn the_highest_line_has_a_round_figure_and_lies_above_all_columns() {
        for (most, expected) in [
            (0, (1, 5)),
            (4, (1, 5)),
            (5, (2, 6)),
            (252, (100, 300)),
            (300, (100, 400)),
            (9_999, (2_000, 10_000)),
        ] {
            assert_eq!(scale(most), expected, "{most}");
        }
    }
}
