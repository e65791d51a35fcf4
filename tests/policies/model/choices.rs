//! Random choices that can be written down, replayed and made smaller.

/// Where a generator takes its choices from.
///
/// Every choice is a number, and zero is the plainest. So a case is a list of numbers, and one
/// that is shorter or has smaller numbers is a smaller case.
#[derive(Debug)]
pub struct Choices {
    source: Source,
    made: Vec<u32>,
}

#[derive(Debug)]
enum Source {
    /// The state of a generator (SplitMix64).
    Random(u64),
    /// What was chosen another time; zeros follow.
    Given(Vec<u32>),
}

impl Choices {
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Random(seed), made: Vec::new() }
    }

    pub fn given(choices: &[u32]) -> Self {
        Self { source: Source::Given(choices.to_vec()), made: Vec::new() }
    }

    /// A number below another one.
    pub fn below(&mut self, most: usize) -> usize {
        let most = u32::try_from(most).unwrap().max(1);
        let choice = match &mut self.source {
            Source::Random(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap() % most
            }
            Source::Given(choices) => choices.get(self.made.len()).copied().unwrap_or(0) % most,
        };
        self.made.push(choice);
        usize::try_from(choice).unwrap()
    }

    /// True in so many of so many cases.
    pub fn chance(&mut self, many: usize, of: usize) -> bool {
        self.below(of) >= of - many
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// A place in a list of weights.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return place,
            }
        }
        0
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in 1..list.len() {
            let other = place - self.below(place + 1);
            list.swap(place, other);
        }
    }

    pub fn into_made(self) -> Vec<u32> {
        self.made
    }
}

/// Smaller choices with which the same still fails.
pub fn shrink(mut smallest: Vec<u32>, fails: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    let mut tries = MOST_TRIES;
    let mut attempt = |smallest: &mut Vec<u32>, candidate: Vec<u32>| {
        let is_smaller = candidate != *smallest && tries > 0;
        tries -= usize::from(is_smaller);
        let is_better = is_smaller && fails(&candidate);
        if is_better {
            *smallest = candidate;
        }
        is_better
    };
    loop {
        let before = smallest.clone();
        for length in [64, 32, 16, 8, 4, 3, 2, 1] {
            let mut start = smallest.len();
            while start > 0 {
                start = start.saturating_sub(length);
                let mut shorter = smallest.clone();
                shorter.drain(start..(start + length).min(smallest.len()));
                attempt(&mut smallest, shorter);
                start = start.min(smallest.len());
            }
        }
        for place in 0..smallest.len() {
            for smaller in [0, smallest[place] / 2, smallest[place].saturating_sub(1)] {
                let mut candidate = smallest.clone();
                candidate[place] = smaller;
                if attempt(&mut smallest, candidate) {
                    break;
                }
            }
        }
        // One less of something, and without what was chosen for it.
        for place in 0..smallest.len() {
            for length in 1..=24 {
                let mut fewer = smallest.clone();
                let behind = place + 1;
                if fewer.get(place).is_none_or(|choice| *choice == 0)
                    || behind + length > fewer.len()
                {
                    break;
                }
                fewer[place] -= 1;
                fewer.drain(behind..behind + length);
                attempt(&mut smallest, fewer);
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}

const MOST_TRIES: usize = 20_000;
