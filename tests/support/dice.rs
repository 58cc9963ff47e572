pub use buzon::simulate::Dice;
