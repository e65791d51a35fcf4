//! The outcomes of all requests under both configurations, combined into cubes.

use std::cell::Cell;

use crate::policy::Outcome;

use super::judge::{Side, Surroundings};
use super::report::Change;
use super::space::Space;

/// The outcomes of the cells of a space, or of some of them.
#[derive(Debug)]
pub(super) struct Table<'a> {
    space: &'a Space,
    /// The classes of each axis that are compared. A *position* is an index among these.
    choice: &'a Choice,
    strides: Vec<usize>,
    /// `None`: such requests do not exist.
    outcomes: Vec<Option<(Outcome, Outcome)>>,
    /// Whether no other cell stands for the same requests.
    is_own: Vec<bool>,
    /// How many more cells may be examined to combine them.
    looks: Cell<u64>,
}

/// The classes of each axis that are compared.
pub(super) type Choice = Vec<Vec<usize>>;

/// Cells that change in the same way: all that have one of these classes on each axis.
#[derive(Debug)]
pub(super) struct Cube {
    pub(super) classes: Vec<Vec<usize>>,
    pub(super) change: Change,
}

/// Returns the number of cells of a choice.
pub(super) fn size(choice: &[Vec<usize>]) -> usize {
    choice.iter().fold(1, |size, classes| size.saturating_mul(classes.len()))
}

impl<'a> Table<'a> {
    pub(super) fn new(space: &'a Space, sides: &[Side<'_>; 2], choice: &'a Choice) -> Self {
        let mut strides = vec![1; choice.len()];
        let mut stride = 1;
        for (own, classes) in strides.iter_mut().zip(choice).rev() {
            *own = stride;
            stride *= classes.len();
        }
        let (who, whence) = choice.split_at(space.requests.min(choice.len()));
        let mut table = Self {
            space,
            choice,
            strides,
            outcomes: Vec::with_capacity(stride),
            is_own: Vec::with_capacity(stride),
            looks: Cell::new(MAX_LOOKS),
        };
        let inner = size(whence);
        let surroundings: Vec<Result<Surroundings, usize>> = (0..inner)
            .map(|index| match table.cell(index) {
                (cell, stands_for) if stands_for == index => {
                    Ok(Surroundings::new(space.request(&cell)))
                }
                (_, stands_for) => Err(stands_for),
            })
            .collect();
        let [old, new] = sides;
        for outer in 0..size(who) {
            let first = outer * inner;
            let (cell, stands_for) = table.cell(first);
            if stands_for < first {
                table.outcomes.extend_from_within(stands_for..stands_for + inner);
                table.is_own.extend(std::iter::repeat_n(false, inner));
                continue;
            }
            if !space.is_possible(&cell) {
                table.outcomes.extend(std::iter::repeat_n(None, inner));
                table.is_own.extend(std::iter::repeat_n(false, inner));
                continue;
            }
            let identity = space.identity(&cell);
            let (by_old, by_new) = (old.subject(&identity), new.subject(&identity));
            for whence in &surroundings {
                let outcomes = match whence {
                    Ok(whence) => {
                        let old = old.verdict(&by_old, whence).outcome();
                        Some((old, new.verdict(&by_new, whence).outcome()))
                    }
                    Err(stands_for) => table.outcomes.get(first + stands_for).copied().flatten(),
                };
                table.outcomes.push(outcomes);
                table.is_own.push(whence.is_ok());
            }
        }
        table
    }

    /// Returns the classes of a cell, and the cell that represents the same requests: if an axis has no
    /// meaning, its first position represents all.
    fn cell(&self, index: usize) -> (Vec<usize>, usize) {
        let mut cell: Vec<usize> = Vec::with_capacity(self.choice.len());
        let mut stands_for = 0;
        for (axis, (classes, stride)) in self.choice.iter().zip(&self.strides).enumerate() {
            let written = index.checked_div(*stride).unwrap_or(0) % classes.len().max(1);
            let on = |on: usize| cell.get(on).copied().unwrap_or(0);
            let position = if self.space.is_relevant(axis, on) { written } else { 0 };
            stands_for += position * stride;
            cell.push(classes.get(position).copied().unwrap_or(0));
        }
        (cell, stands_for)
    }

    /// Returns the changes as few, large cubes that a greedy search finds, at most `most`; and whether
    /// there are more.
    pub(super) fn cubes(&self, most: usize) -> (Vec<Cube>, bool) {
        let mut covered = vec![0_u32; self.outcomes.len()];
        let mut cubes = Vec::new();
        let mut has_more = false;
        for index in 0..self.outcomes.len() {
            let Some(change) = self.own_change(index) else { continue };
            if covered.get(index).is_none_or(|covers| *covers > 0) {
                continue;
            }
            if cubes.len() >= most {
                has_more = true;
                break;
            }
            let positions = self.generalize(index, change);
            self.cells(&positions, 0, 0, &mut |index| {
                if let Some(covers) = covered.get_mut(index) {
                    *covers += 1;
                }
            });
            cubes.push((positions, change));
        }
        let mut needed = Vec::new();
        for (positions, change) in cubes {
            // A later cube may include all of it.
            let mut is_needed = false;
            self.cells(&positions, 0, 0, &mut |index| {
                is_needed |= self.own_change(index).is_some() && covered.get(index) == Some(&1);
            });
            if !is_needed {
                self.cells(&positions, 0, 0, &mut |index| {
                    if let Some(covers) = covered.get_mut(index) {
                        *covers -= 1;
                    }
                });
                continue;
            }
            let classes = positions.iter().zip(self.choice).map(|(positions, classes)| {
                positions.iter().filter_map(|position| classes.get(*position).copied()).collect()
            });
            needed.push(Cube { classes: classes.collect(), change });
        }
        (needed, has_more)
    }

    fn own_change(&self, index: usize) -> Option<Change> {
        self.change(index).filter(|_| self.is_own.get(index) == Some(&true))
    }

    fn change(&self, index: usize) -> Option<Change> {
        let (old, new) = (*self.outcomes.get(index)?)?;
        Change::between(old, new)
    }

    /// Returns the positions around a cell that change as it does: first over the source, then over the
    /// attributes of a user, last over the requester.
    fn generalize(&self, index: usize, change: Change) -> Vec<Vec<usize>> {
        let mut cube: Vec<Vec<usize>> = self
            .choice
            .iter()
            .zip(&self.strides)
            .map(|(classes, stride)| {
                vec![index.checked_div(*stride).unwrap_or(0) % classes.len().max(1)]
            })
            .collect();
        for axis in (0..cube.len()).rev() {
            let all = self.choice.get(axis).map_or(0, Vec::len);
            let here = cube.get(axis).and_then(|positions| positions.first()).copied();
            let mut found: Vec<usize> = here.into_iter().collect();
            for position in (0..all).filter(|position| Some(*position) != here) {
                if let Some(positions) = cube.get_mut(axis) {
                    *positions = vec![position];
                }
                if self.every(&cube, 0, 0, change) {
                    found.push(position);
                }
            }
            found.sort_unstable();
            if let Some(positions) = cube.get_mut(axis) {
                *positions = found;
            }
        }
        cube
    }

    fn every(&self, cube: &[Vec<usize>], axis: usize, index: usize, change: Change) -> bool {
        match (cube.get(axis), self.strides.get(axis)) {
            (Some(positions), Some(stride)) => positions
                .iter()
                .all(|position| self.every(cube, axis + 1, index + position * stride, change)),
            _ => {
                let left = self.looks.get();
                self.looks.set(left.saturating_sub(1));
                // At the limit the statements are only less concise.
                let is_there = self.outcomes.get(index).is_some_and(Option::is_some);
                left > 0 && (!is_there || self.change(index) == Some(change))
            }
        }
    }

    fn cells(&self, cube: &[Vec<usize>], axis: usize, index: usize, each: &mut impl FnMut(usize)) {
        match (cube.get(axis), self.strides.get(axis)) {
            (Some(positions), Some(stride)) => {
                for position in positions {
                    self.cells(cube, axis + 1, index + position * stride, each);
                }
            }
            _ => each(index),
        }
    }
}

/// Returns the classes to compare: all of them in one table if they are few enough. Otherwise, for each
/// axis, all of its classes with some of the others, chosen deterministically.
pub(super) fn choices(space: &Space, most: usize) -> Vec<Choice> {
    let all: Choice = space.axes.iter().map(|axis| (0..axis.len()).collect()).collect();
    if size(&all) <= most {
        return vec![all];
    }
    let most = most.checked_div(all.len()).unwrap_or(most).max(1);
    (0..all.len()).map(|axis| around(space, &all, axis, most)).collect()
}

fn around(space: &Space, all: &Choice, axis: usize, most: usize) -> Choice {
    let mut shuffler = Shuffler(u64::try_from(axis).unwrap_or(0));
    let mut choice: Choice = vec![vec![0]; all.len()];
    for (own, classes) in choice.iter_mut().zip(all).skip(axis).take(1) {
        *own = classes.iter().copied().take(most).collect();
    }
    // Classes with which the axis has a meaning.
    for (on, class) in space.needed_for(axis) {
        if let Some(chosen) = choice.get_mut(on)
            && !chosen.contains(&class)
        {
            chosen.push(class);
        }
    }
    loop {
        let mut grew = false;
        for place in shuffler.shuffled((0..all.len()).collect()) {
            let Some(chosen) = choice.get(place) else { continue };
            let known = size(&choice).checked_div(chosen.len()).unwrap_or(usize::MAX);
            if known.saturating_mul(chosen.len() + 1) > most {
                continue;
            }
            let left = all.get(place).into_iter().flatten().copied();
            let left: Vec<usize> = left.filter(|class| !chosen.contains(class)).collect();
            if let Some(class) = shuffler.shuffled(left).first()
                && let Some(chosen) = choice.get_mut(place)
            {
                chosen.push(*class);
                grew = true;
            }
        }
        if !grew {
            return choice;
        }
    }
}

/// A deterministic pseudo-random generator.
struct Shuffler(u64);

impl Shuffler {
    fn shuffled(&mut self, mut all: Vec<usize>) -> Vec<usize> {
        all.sort_by_cached_key(|_| self.next());
        all
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// A few seconds.
const MAX_LOOKS: u64 = 200_000_000;
