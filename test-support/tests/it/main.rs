mod postgres;
mod wait;
