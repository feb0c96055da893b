//! Charts, drawn on the server. Colours are those of the style sheet: it knows them again by the ones that stand here.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A size of the drawing, in units that are about those of the page: scaled further, its words could not be read.
pub struct Size {
    width: u32,
    height: u32,
    /// Names below the columns: as many as stand beside each other.
    names: usize,
}

/// On a screen.
pub const WIDE: Size = Size { width: 720, height: 200, names: 12 };
/// On a phone.
pub const NARROW: Size = Size { width: 288, height: 168, names: 5 };
/// Height of letters with the room around them: some 12 units without it.
const LETTERS: u32 = 15;
const DELIVERED: RGBColor = RGBColor(0x1c, 0x6b, 0x3c);
const FAILED: RGBColor = RGBColor(0xb3, 0x26, 0x1e);
const INK: RGBColor = RGBColor(0x5c, 0x60, 0x66);
const LINE: RGBColor = RGBColor(0xde, 0xdf, 0xdc);

/// What ended within a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What stands below it.
    pub name: String,
    /// Were delivered.
    pub delivered: u64,
    /// Failed.
    pub failed: u64,
}

/// Columns beside each other, what failed upon what was delivered.
pub fn columns(columns: &[Column], size: &Size) -> String {
    let mut svg = String::new();
    // Cannot fail: it is drawn into a text. A chart that could not be drawn is none: the table has the same figures.
    if draw(columns, size, &mut svg).is_err() {
        return String::new();
    }
    svg
}

fn draw(columns: &[Column], size: &Size, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let most = columns.iter().map(|column| column.delivered + column.failed).max().unwrap_or_default().max(4);
    let count = i32::try_from(columns.len())?;
    let area = SVGBackend::with_string(svg, (size.width, size.height)).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(44)
        .build_cartesian_2d((0..count).into_segmented(), 0..most)?;
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => {
            usize::try_from(*at).ok().and_then(|at| columns.get(at)).map(|column| column.name.clone())
        }
        _ => None,
    };
    let text = ("sans-serif", LETTERS).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .x_labels(columns.len().min(size.names))
        .y_labels(4)
        .label_style(text.pos(Pos::new(HPos::Center, VPos::Center)))
        .x_label_formatter(&|at| name(at).unwrap_or_default())
        .draw()?;
    let block = |at: i32, from: u64, to: u64, colour: RGBColor| {
        let mut block = Rectangle::new(
            [(SegmentValue::Exact(at), from), (SegmentValue::Exact(at + 1), to)],
            colour.filled(),
        );
        block.set_margin(0, 0, 2, 2);
        block
    };
    let at = |(at, column): (usize, &Column)| (i32::try_from(at).unwrap_or_default(), column.clone());
    chart.draw_series(
        columns.iter().enumerate().map(at).map(|(at, column)| block(at, 0, column.delivered, DELIVERED)),
    )?;
    let failed = columns.iter().enumerate().map(at).filter(|(_, column)| column.failed > 0);
    chart.draw_series(
        failed.map(|(at, column)| block(at, column.delivered, column.delivered + column.failed, FAILED)),
    )?;
    drop(chart);
    area.present()?;
    drop(area);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_drawn_in_its_colours() {
        let column = |delivered, failed| Column { name: "10:00".to_owned(), delivered, failed };
        let svg = columns(&[column(10, 0), column(3, 2), column(0, 0)], &WIDE);
        assert_eq!(svg.matches("fill=\"#1C6B3C\"").count(), 3, "{svg}");
        assert_eq!(svg.matches("fill=\"#B3261E\"").count(), 1, "{svg}");
        assert!(!svg.contains("style="), "the page's policy allows no inline style: {svg}");
    }
}
