//! The colours of a flamegraph.

use std::collections::BTreeMap;

use inferno::flamegraph::{
    Palette,
    color::{BackgroundColor, BasicPalette, Color, PaletteMap},
};

use crate::report::Owner;

/// The background: a plain one, on which all schemes can be read.
pub(super) const BACKGROUND: BackgroundColor = BackgroundColor::Flat(Color {
    r: 255,
    g: 255,
    b: 255,
});

/// A colour scheme.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Colors {
    /// By owner: own code, libraries and the interpreter differ.
    #[default]
    Heaptide,
    /// Red to yellow.
    Hot,
    /// Green to blue.
    Mem,
    /// Blue-green.
    Aqua,
    /// Blue.
    Blue,
    /// Green.
    Green,
    /// Orange.
    Orange,
    /// Red.
    Red,
}

impl Colors {
    /// All schemes.
    pub const ALL: [Self; 8] = [
        Self::Heaptide,
        Self::Hot,
        Self::Mem,
        Self::Aqua,
        Self::Blue,
        Self::Green,
        Self::Orange,
        Self::Red,
    ];

    /// The stable name, as it stands in flags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heaptide => "heaptide",
            Self::Hot => "hot",
            Self::Mem => "mem",
            Self::Aqua => "aqua",
            Self::Blue => "blue",
            Self::Green => "green",
            Self::Orange => "orange",
            Self::Red => "red",
        }
    }

    /// Finds a scheme by its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|colors| colors.name() == name)
    }

    /// The palette that frames without a colour of their own are drawn from.
    pub(super) const fn base(self) -> Palette {
        Palette::Basic(match self {
            Self::Heaptide | Self::Orange => BasicPalette::Orange,
            Self::Hot => BasicPalette::Hot,
            Self::Mem => BasicPalette::Mem,
            Self::Aqua => BasicPalette::Aqua,
            Self::Blue => BasicPalette::Blue,
            Self::Green => BasicPalette::Green,
            Self::Red => BasicPalette::Red,
        })
    }
}

/// The colours of all labels, if the scheme tells owners apart.
pub(super) fn palette(colors: Colors, owners: &BTreeMap<String, Owner>) -> Option<PaletteMap> {
    if colors != Colors::Heaptide {
        return None;
    }
    let mut palette = PaletteMap::default();
    // The bar at the root has no label.
    palette.insert(
        "",
        Color {
            r: 226,
            g: 226,
            b: 226,
        },
    );
    for (label, owner) in owners {
        palette.insert(label, shade(*owner, label));
    }
    Some(palette)
}

/// The colour that stands for an owner in the legend.
pub(super) const fn color(owner: Owner) -> Color {
    match owner {
        Owner::Own => Color {
            r: 244,
            g: 148,
            b: 72,
        },
        Owner::Library => Color {
            r: 112,
            g: 178,
            b: 216,
        },
        Owner::Python => Color {
            r: 188,
            g: 190,
            b: 200,
        },
    }
}

/// The owner's colour, a little lighter or darker by the label, so that neighbours differ.
fn shade(owner: Owner, label: &str) -> Color {
    let hash = label.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [step, ..] = (hash >> 16).to_le_bytes();
    let lighter = |channel: u8| channel + (255 - channel) / 8 * (step % 4);
    let Color { r, g, b } = color(owner);
    Color {
        r: lighter(r),
        g: lighter(g),
        b: lighter(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_found_by_its_name() {
        for colors in Colors::ALL {
            assert_eq!(Colors::from_name(colors.name()), Some(colors));
        }
        assert_eq!(Colors::from_name("plaid"), None);
    }

    #[test]
    fn owners_never_share_a_colour() {
        let labels = ["a", "b (c.py:1)", "load", "x y z"];
        for label in labels {
            for other in labels {
                assert_ne!(shade(Owner::Own, label), shade(Owner::Library, other));
                assert_ne!(shade(Owner::Library, label), shade(Owner::Python, other));
                assert_ne!(shade(Owner::Python, label), shade(Owner::Own, other));
            }
        }
    }
}
