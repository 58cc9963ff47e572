//! A seeded generator of random numbers, which the tests and the benchmark use too.

/// A generator of numbers that look random and are the same in every run with the same seed.
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number of SplitMix64.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number in 0..`bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// Returns true with a probability of `many` in a thousand.
    pub fn in_thousand(&mut self, many: u64) -> bool {
        self.below(1_000) < many
    }

    /// Returns one of the elements.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Returns an index in 0..`many` by Zipf's law, so that the first ones are the most frequent. `shift` flattens the
    /// head of the distribution.
    pub fn zipf(&mut self, many: u64, shift: f64) -> u64 {
        let head = shift + 1.0;
        let index = head * ((many as f64 + head) / head).powf(self.unit()) - head;
        (index as u64).min(many - 1)
    }
}
