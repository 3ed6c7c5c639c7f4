package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/culvert-http/culvert/bench/internal/peer"
)

const (
	pictureWidth  = 760 * vg.Length(1)
	pictureHeight = 420 * vg.Length(1)
	legendWidth   = 165 * vg.Length(1)
	legendTop     = 30 * vg.Length(1)
	margin        = 12 * vg.Length(1)

	legendPadding   = 5 * vg.Length(1)
	legendThumbnail = 28 * vg.Length(1)

	// manyDecades is between times whose powers of ten are ticks enough.
	manyDecades = 1e3
)

// The picture has a background of its own, so that it can be read on a page of
// any colour.
var (
	paper = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	ink   = color.NRGBA{0x24, 0x29, 0x2f, 0xff}
	grid  = color.NRGBA{0xd8, 0xde, 0xe4, 0xff}
)

// look is how a peer is drawn: Culvert's lines are thick, those of gateways and
// proxies dashed. The colours are Okabe's and Ito's, which nearly everybody can
// tell apart.
type look struct {
	label  string
	color  color.Color
	thick  bool
	dashed bool
}

var (
	blue       = color.NRGBA{0x00, 0x72, 0xb2, 0xff}
	sky        = color.NRGBA{0x3a, 0xa5, 0xe0, 0xff}
	vermillion = color.NRGBA{0xd5, 0x5e, 0x00, 0xff}
	orange     = color.NRGBA{0xe6, 0x9f, 0x00, 0xff}
	green      = color.NRGBA{0x00, 0x9e, 0x73, 0xff}
	purple     = color.NRGBA{0xcc, 0x79, 0xa7, 0xff}
	gray       = color.NRGBA{0x6e, 0x77, 0x81, 0xff}
)

var looks = map[string]look{
	peer.Session:      {label: "Culvert, session", color: blue, thick: true},
	peer.Exchange:     {label: "Culvert, exchange", color: sky, thick: true},
	peer.Gateway:      {label: "Culvert, gateway", color: blue, thick: true, dashed: true},
	peer.HTTP1:        {label: "net/http, HTTP/1.1", color: green},
	peer.H2C:          {label: "net/http, h2c", color: orange},
	peer.Dskit:        {label: "dskit httpgrpc", color: vermillion},
	peer.GRPCTunnel:   {label: "plain grpc-go tunnel", color: purple},
	peer.ReverseProxy: {label: "httputil.ReverseProxy", color: green, dashed: true},
	peer.DskitGateway: {label: "dskit gateway", color: vermillion, dashed: true},
	peer.Nginx:        {label: "nginx", color: gray, dashed: true},
}

// series is the cost of a peer, in nanoseconds.
type series struct {
	peer   string
	points plotter.XYs
}

// picture shows cost against something else, both in logarithms.
type picture struct {
	title, axis string
	ticks       []plot.Tick
	series      []series
}

// SVG returns the picture.
func (p *picture) SVG() ([]byte, error) {
	figure, legend, err := p.figure()
	if err != nil {
		return nil, fmt.Errorf("draw %q: %w", p.title, err)
	}
	svg := vgsvg.NewWith(vgsvg.UseWH(pictureWidth, pictureHeight))
	canvas := draw.New(svg)
	canvas.SetColor(paper)
	canvas.Fill(canvas.Rectangle.Path())
	inner := draw.Crop(canvas, margin, -margin, margin, -margin)
	figure.Draw(draw.Crop(inner, 0, -legendWidth-margin, 0, 0))
	legend.Draw(draw.Crop(inner, pictureWidth-2*margin-legendWidth, 0, 0, -legendTop))
	var written bytes.Buffer
	if _, err := svg.WriteTo(&written); err != nil {
		return nil, fmt.Errorf("write %q: %w", p.title, err)
	}
	// Where the font is not installed, one with the same widths will do.
	return bytes.ReplaceAll(written.Bytes(), []byte("Liberation Sans;"),
		[]byte("Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

func (p *picture) figure() (*plot.Plot, *plot.Legend, error) {
	figure := plot.New()
	figure.BackgroundColor = paper
	figure.Title.Text = p.title
	figure.Title.Padding = margin
	figure.X.Label.Text = p.axis
	figure.Y.Label.Text = "time for each exchange"
	figure.X.Scale, figure.Y.Scale = plot.LogScale{}, plot.LogScale{}
	figure.X.Tick.Marker = plot.ConstantTicks(p.ticks)
	legend := plot.NewLegend()
	legend.Top, legend.Left = true, true
	legend.Padding = legendPadding
	legend.ThumbnailWidth = legendThumbnail
	dress(figure, &legend)
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	lines.Vertical.Width, lines.Horizontal.Width = 0.75, 0.75
	figure.Add(lines)
	for _, one := range p.series {
		line, dots, err := plotter.NewLinePoints(one.points)
		if err != nil {
			return nil, nil, fmt.Errorf("draw %s: %w", one.peer, err)
		}
		looks[one.peer].apply(line, dots)
		figure.Add(line, dots)
		legend.Add(looks[one.peer].label, line, dots)
	}
	figure.X.Min, figure.X.Max = p.ticks[0].Value, p.ticks[len(p.ticks)-1].Value
	figure.Y.Min, figure.Y.Max = p.costs()
	figure.Y.Tick.Marker = plot.ConstantTicks(costTicks(figure.Y.Min, figure.Y.Max))
	return figure, &legend, nil
}

// costs returns the ends of the scale of time: ticks around all points.
func (p *picture) costs() (from, to float64) {
	from, to = math.Inf(1), 0
	for _, one := range p.series {
		for _, point := range one.points {
			from, to = min(from, point.Y), max(to, point.Y)
		}
	}
	if to == 0 {
		return float64(time.Microsecond), float64(time.Millisecond)
	}
	below := math.Pow(10, math.Floor(math.Log10(from)))
	above := math.Pow(10, math.Floor(math.Log10(to)))
	for _, step := range slices.Backward(tickSteps) {
		if step*below <= from {
			below *= step
			break
		}
	}
	for _, step := range slices.Concat(tickSteps, []float64{10}) {
		if step*above > to {
			above *= step
			break
		}
	}
	return below, above
}

// tickSteps are where ticks are, in each power of ten.
var tickSteps = []float64{1, 2, 5}

func (l look) apply(line *plotter.Line, dots *plotter.Scatter) {
	line.Color, dots.Color = l.color, l.color
	line.Width = 1.5
	dots.Radius = 2.5
	dots.Shape = draw.CircleGlyph{}
	if l.thick {
		line.Width, dots.Radius = 3, 3.5
	}
	if l.dashed {
		line.Dashes = []vg.Length{6, 4}
	}
}

// dress sets the font and the colour of all text.
func dress(figure *plot.Plot, legend *plot.Legend) {
	for style, size := range map[*text.Style]font.Length{
		&figure.Title.TextStyle:   15,
		&figure.X.Label.TextStyle: 12,
		&figure.Y.Label.TextStyle: 12,
		&figure.X.Tick.Label:      11,
		&figure.Y.Tick.Label:      11,
		&legend.TextStyle:         12,
	} {
		style.Font.Variant = "Sans"
		style.Font.Size = size
		style.Color = ink
	}
	for _, axis := range []*plot.Axis{&figure.X, &figure.Y} {
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = ink, ink
		axis.Label.Padding = 6
	}
}

// costTicks are at the powers of ten between two times, and at what is between
// those if they are few.
func costTicks(from, to float64) []plot.Tick {
	steps := tickSteps
	if to/from > manyDecades {
		steps = steps[:1]
	}
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(from))); decade <= to; decade *= 10 {
		for _, step := range steps {
			if at := step * decade; at >= from && at <= to {
				ticks = append(ticks, plot.Tick{Value: at, Label: roundDuration(at)})
			}
		}
	}
	return ticks
}

// roundDuration prints a number of nanoseconds that has one digit.
func roundDuration(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%g s", ns/1e9)
	case ns >= 1e6:
		return fmt.Sprintf("%g ms", ns/1e6)
	default:
		return fmt.Sprintf("%g µs", ns/1e3)
	}
}
