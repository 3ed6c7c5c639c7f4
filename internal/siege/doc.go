// Package siege tests what peers that mean harm can do to those that do not:
// clients of serve and of the gateway that are slow in every way there is, or
// that flood. Each is cut off or costs little, and others are served meanwhile.
package siege
