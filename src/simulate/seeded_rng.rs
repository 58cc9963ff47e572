/// Numbers that look random and are the same in every run: the tests and the benchmark throw them too.
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of SplitMix64.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, 1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// True in so many of a thousand.
    pub fn in_thousand(&mut self, many: u64) -> bool {
        self.below(1_000) < many
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A place from 0 up to `many`, the first by far the most often: of Zipf's law, flattened at its head by `shift`.
    pub fn zipf(&mut self, many: u64, shift: f64) -> u64 {
        let head = shift + 1.0;
        let place = head * ((many as f64 + head) / head).powf(self.unit()) - head;
        (place as u64).min(many - 1)
    }
}
