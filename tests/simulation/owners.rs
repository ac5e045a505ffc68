//! Several owners of one replicated log: they take it from each other while each of them is alive, and those
//! that have lost it wake up at any time and go on as if they had not.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use lakehook::wal::journal::seam::Found as _;
use lakehook::wal::log::OWNED_FOR;
use lakehook::wal::recover::OpenError;

use crate::any_journal::AnyFound;
use crate::world::{Node, Ticket, Violation, World};

/// Most owners at a time that have lost the log.
const MAX_ZOMBIES: usize = 3;

/// What other machines do between two steps of the owner.
pub(crate) fn step(world: &mut World) -> Result<(), Violation> {
    if !world.shape.is_replicated() || world.is_down() {
        return Ok(());
    }
    if world.chance.percent(30) {
        world.engine.deliver_late();
    }
    match world.chance.weighted(&[70, 12, 18]) {
        0 => Ok(()),
        1 => take_over(world),
        _ => wake_one(world),
    }
}

/// Lets the engine lose answers, and delay puts.
pub(crate) fn trouble(world: &mut World) {
    let errors = world.chance.below(20);
    let (lost_answers, late) = (world.chance.below(20), world.chance.below(20));
    world.engine.faults(|faults| {
        faults.errors = errors;
        faults.lost_answers = lost_answers;
        faults.late = late;
    });
}

/// Another machine looks at the log, is slow, and then wants to have it.
pub(crate) fn take_over(world: &mut World) -> Result<(), Violation> {
    let dir = world.new_dir();
    let (mut found, identity) = match world.find(&dir) {
        Ok(found) => found,
        Err(OpenError::Contended { .. } | OpenError::Lost { .. } | OpenError::Io { .. }) => {
            return Ok(());
        }
        Err(_) if world.disk.has_crashed() => return Ok(()),
        Err(error) => return Err(format!("{} cannot read the log: {error}", dir.display())),
    };
    if world.chance.percent(60) {
        read_ahead(world, &mut found);
    }
    match world.chance.below(3) {
        0 => {}
        1 => {
            for _ in 0..world.chance.between(1, 4) {
                go_on(world)?;
            }
        }
        _ => rush(world)?,
    }
    if world.disk.has_crashed() {
        return Ok(());
    }
    match world.open_found((found, identity), &dir) {
        Ok((node, _)) => {
            world.note(|| format!("{} took over", dir.display()));
            world.takeovers += 1;
            world.succeed(node);
            Ok(())
        }
        // It stands back. What it has put may have fenced the owner all the same.
        Err(OpenError::Contended { .. } | OpenError::Lost { .. } | OpenError::Io { .. }) => Ok(()),
        Err(_) if world.disk.has_crashed() => Ok(()),
        Err(error) => Err(format!("{} refused to take over: {error}", dir.display())),
    }
}

/// Reads all that the log has now, as a start does before its fence.
fn read_ahead(world: &World, found: &mut AnyFound) {
    let oldest = world
        .node
        .as_ref()
        .map(|node| node.writer.state().oldest_segment);
    if let Some(oldest) = oldest.filter(|oldest| found.newest().is_some_and(|n| *oldest <= n)) {
        // What fails now fails again at the start.
        let _again_later = found.read(oldest, &mut |_| Ok(()));
    }
}

/// One step of the owner, if it is alive.
fn go_on(world: &mut World) -> Result<(), Violation> {
    if world.is_down() {
        return Ok(());
    }
    match world.chance.below(4) {
        0 => world.store_time(),
        1 => world.flush(),
        2 => world.ship(2)?,
        _ => {
            world.submit();
        }
    }
    world.turn()
}

/// The owner fills segments, and ships and trims them.
fn rush(world: &mut World) -> Result<(), Violation> {
    for _ in 0..world.chance.between(3, 12) {
        if world.is_down() {
            return Ok(());
        }
        for _ in 0..3 {
            world.submit();
        }
        world.turn()?;
        world.flush();
        world.turn()?;
        world.ship(usize::MAX)?;
        world.turn()?;
        world.clock.advance(Duration::from_millis(200));
    }
    Ok(())
}

/// Lets one of those that have lost the log do something.
fn wake_one(world: &mut World) -> Result<(), Violation> {
    if world.zombies.is_empty() {
        return Ok(());
    }
    let index = world.chance.index(world.zombies.len());
    wake(world, index)
}

/// Lets all of them wake up and find out.
pub(crate) fn wake_all(world: &mut World) -> Result<(), Violation> {
    while !world.zombies.is_empty() {
        let before = world.zombies.len();
        wake(world, 0)?;
        if world.zombies.len() == before {
            let zombie = world.zombies.remove(0);
            world.bury(zombie);
        }
    }
    Ok(())
}

/// The node of a zombie takes the owner's place in the world for a step.
fn wake(world: &mut World, index: usize) -> Result<(), Violation> {
    let zombie = world.zombies.remove(index);
    let owned_at = Duration::from_micros(zombie.owned_at.load(Ordering::Relaxed));
    let may_put = world.clock.boot().saturating_sub(owned_at) < OWNED_FOR;
    let objects = world.store.objects().len();
    let owner = world.node.replace(zombie);
    let acted = act(world);
    if !may_put && world.store.objects().len() > objects {
        return Err("an owner that has lost the log long ago put an object".to_owned());
    }
    let zombie = std::mem::replace(&mut world.node, owner);
    match zombie {
        Some(zombie) if zombie.fatal => {
            world.fenced += 1;
            world.bury(zombie);
        }
        Some(zombie) => world.zombies.insert(index, zombie),
        None => {}
    }
    acted
}

fn act(world: &mut World) -> Result<(), Violation> {
    match world.chance.below(4) {
        // It had encoded an object, and puts it now.
        0 => world.ship(1),
        1 => world.turn(),
        _ => {
            world.submit();
            world.turn()
        }
    }
}

impl World {
    /// A directory that was never used.
    fn new_dir(&self) -> PathBuf {
        Path::new("/data").join(format!("wal-{}", self.starts))
    }

    /// The machine is lost, and the next start is on another one.
    pub(crate) fn perhaps_elsewhere(&mut self) {
        if self.shape.is_replicated() && self.chance.percent(40) {
            self.dir = self.new_dir();
        }
    }

    /// A node has taken the log over; the one before does not know it yet.
    pub(crate) fn succeed(&mut self, node: Node) {
        self.polls.crashed();
        self.polls.resume(node.writer.state().runs.cursor("orders"));
        self.dir.clone_from(&node.dir);
        let Some(mut before) = self.node.replace(node) else {
            return;
        };
        before
            .jobs
            .retain(|(_, ticket)| !matches!(ticket, Ticket::Poll(_)));
        before.closed = false;
        self.zombies.push(before);
        if self.zombies.len() > MAX_ZOMBIES {
            let oldest = self.zombies.remove(0);
            self.bury(oldest);
        }
    }

    /// The machines of all of them have ended.
    pub(crate) fn drop_zombies(&mut self) {
        for zombie in std::mem::take(&mut self.zombies) {
            self.bury(zombie);
        }
    }
}
