//go:build race

package driver

const raceEnabled = true // and everything takes many times as long
