//! Pictures that a browser shows: baseline JPEG (ITU-T T.81) of squares, each of one colour.

use super::seeded_rng::SeededRng;

/// The number of squares on each side of a picture, which have 8 by 8 pixels.
const SQUARES: u8 = 80;
const PIXELS: [u8; 2] = (SQUARES as u16 * 8).to_be_bytes();
/// The quantisation of every coefficient. With it, the first one of a square is its level less 128.
const STEP: u8 = 8;
/// The codes of the first coefficient: one of four bits for each number of bits of a difference, 0 to 8.
const LENGTHS: [u8; 16] = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The only code of the other coefficients, of one bit, says that all of them are 0.
const ONE_LENGTH: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Writes bits into the scan of a picture.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl BitWriter {
    fn put(&mut self, bits: u32, count: u32) {
        self.pending = self.pending << count | bits;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.pending >> self.count) as u8;
            self.bytes.push(byte);
            // A byte with all bits set would begin a marker.
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
        self.pending &= (1 << self.count) - 1;
    }

    /// Writes the difference of a square to the one before it.
    fn square(&mut self, difference: i32) {
        let length = 32 - difference.unsigned_abs().leading_zeros();
        let value = if difference < 0 { difference + (1 << length) - 1 } else { difference };
        self.put(length, 4);
        self.put(value as u32, length);
        self.put(0, 1);
    }

    fn end(mut self) -> Vec<u8> {
        // The rest of the last byte is filled with ones.
        self.put(0x7F, 7);
        self.bytes
    }
}

/// Returns a picture with a disc before a ground whose colours change from corner to corner.
pub(super) fn jpeg(rng: &mut SeededRng) -> Vec<u8> {
    let mut level = |from: u64, range: u64| (from + rng.below(range)) as f64;
    let corners = [level(30, 60), level(150, 70)].map(|light| [light, level(104, 48), level(104, 48)]);
    let disc = [level(190, 50), level(100, 56), level(100, 56)];
    let (centre, radius) = ([level(24, 32), level(24, 32)], level(10, 18));
    let mut bits = BitWriter::default();
    let mut before = [0; 3];
    for y in 0..SQUARES {
        for x in 0..SQUARES {
            let (x, y) = (f64::from(x), f64::from(y));
            let part = (x + y) / f64::from(2 * SQUARES);
            let is_disc = (x - centre[0]).hypot(y - centre[1]) < radius;
            for component in 0..3 {
                let ground = corners[0][component] * (1.0 - part) + corners[1][component] * part;
                let value = if is_disc { disc[component] } else { ground } as i32 - 128;
                bits.square(value - before[component]);
                before[component] = value;
            }
        }
    }
    let [high, low] = PIXELS;
    let parts: [&[u8]; 13] = [
        b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
        b"\xFF\xDB\x00\x43\x00",
        &[STEP; 64],
        &[0xFF, 0xC0, 0, 17, 8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0],
        b"\xFF\xC4\x00\x1C\x00",
        &LENGTHS,
        &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        b"\xFF\xC4\x00\x14\x10",
        &ONE_LENGTH,
        &[0],
        b"\xFF\xDA\x00\x0C\x03\x01\x00\x02\x00\x03\x00\x00\x3F\x00",
        &bits.end(),
        b"\xFF\xD9",
    ];
    parts.concat()
}
