// Runs a workload with franz-go. See bench/README.md for the rules that every adapter follows.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The default of 10,000 is soon full; it is faster with more.
const maxBufferedRecords = 100_000

type workload struct {
	Servers    string            `json:"servers"`
	Topics     []string          `json:"topics"`
	Partitions int               `json:"partitions"`
	Records    int               `json:"records"`
	Warmup     int               `json:"warmup"`
	Size       int               `json:"size"`
	Keys       int               `json:"keys"`
	Codec      string            `json:"codec"`
	Threads    int               `json:"threads"`
	Tasks      int               `json:"tasks"`
	Acks       string            `json:"acks"`
	LingerMs   *float64          `json:"linger_ms"`
	BatchBytes *int32            `json:"batch_bytes"`
	Rate       int               `json:"rate"`
	Surface    string            `json:"surface"`
	Properties map[string]string `json:"properties"`
}

// requests counts the Produce requests that are written.
type requests struct{ count atomic.Int64 }

func (r *requests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == 0 {
		r.count.Add(1)
	}
}

type run struct {
	workload     workload
	client       *kgo.Client
	values       [][]byte
	keys         [][]byte
	acknowledged atomic.Int64
	failed       atomic.Int64
	lock         sync.Mutex
	latenciesUs  []int64
}

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("give one argument: the workload as JSON")
	}
	r := &run{}
	if err := json.Unmarshal([]byte(os.Args[1]), &r.workload); err != nil {
		return fmt.Errorf("the workload cannot be read: %w", err)
	}
	w := &r.workload
	sent := &requests{}
	options, err := w.options()
	if err != nil {
		return err
	}
	if r.client, err = kgo.NewClient(append(options, kgo.WithHooks(sent))...); err != nil {
		return err
	}
	r.values = values(w.Size)
	for key := range w.Keys {
		r.keys = append(r.keys, fmt.Appendf(nil, "user_%d", key))
	}
	if err := r.send(w.Warmup, 0); err != nil {
		return err
	}
	before, cpuBefore, start := sent.count.Load(), cpuSeconds(), time.Now()
	if err := r.send(w.Records, w.Rate); err != nil {
		return err
	}
	seconds, cpu := time.Since(start).Seconds(), cpuSeconds()-cpuBefore
	line, err := json.Marshal(map[string]any{
		"client":       "franz-go " + version(),
		"records":      w.Records,
		"acknowledged": r.acknowledged.Load(),
		"failed":       r.failed.Load(),
		"seconds":      seconds,
		"cpu_seconds":  cpu,
		"peak_rss_kib": usage().Maxrss,
		"latency_us":   r.percentiles(),
		"requests":     sent.count.Load() - before,
	})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return nil
}

func (w *workload) options() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(w.Servers, ",")...),
		kgo.MaxBufferedRecords(maxBufferedRecords),
	}
	switch w.Acks {
	case "all":
		options = append(options, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, fmt.Errorf("no such acks: %s", w.Acks)
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, known := codecs[w.Codec]
	if !known {
		return nil, fmt.Errorf("no such codec: %s", w.Codec)
	}
	options = append(options, kgo.ProducerBatchCompression(codec))
	if w.LingerMs != nil {
		linger := time.Duration(*w.LingerMs * float64(time.Millisecond))
		options = append(options, kgo.ProducerLinger(linger))
	}
	if w.BatchBytes != nil {
		options = append(options, kgo.ProducerBatchMaxBytes(*w.BatchBytes))
	}
	return options, nil
}

// send sends that many records and waits for the last of them.
func (r *run) send(records, rate int) error {
	var threads sync.WaitGroup
	for thread := range r.workload.Threads {
		share := records / r.workload.Threads
		if thread < records%r.workload.Threads {
			share++
		}
		threads.Go(func() { r.sendShare(share, rate) })
	}
	threads.Wait()
	return r.client.Flush(context.Background())
}

func (r *run) sendShare(records, rate int) {
	start := time.Now()
	promise := func(_ *kgo.Record, err error) { r.settled(err) }
	for number := range records {
		record := &kgo.Record{
			Topic: r.workload.Topics[number%len(r.workload.Topics)],
			Value: r.values[number%len(r.values)],
		}
		if len(r.keys) > 0 {
			record.Key = r.keys[number%len(r.keys)]
		}
		if rate > 0 {
			step := float64(time.Second) * float64(r.workload.Threads) / float64(rate)
			due := start.Add(time.Duration(step * float64(number)))
			time.Sleep(time.Until(due))
			promise = func(_ *kgo.Record, err error) {
				r.settled(err)
				us := time.Since(due).Microseconds()
				r.lock.Lock()
				r.latenciesUs = append(r.latenciesUs, us)
				r.lock.Unlock()
			}
		}
		r.client.Produce(context.Background(), record, promise)
	}
}

func (r *run) settled(err error) {
	if err == nil {
		r.acknowledged.Add(1)
	} else {
		r.failed.Add(1)
	}
}

func (r *run) percentiles() map[string]int64 {
	all := r.latenciesUs
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	at := func(share float64) int64 { return all[min(int(share*float64(len(all))), len(all)-1)] }
	return map[string]int64{
		"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99_9": at(0.999), "max": all[len(all)-1],
	}
}

// values are the same in every adapter: xorshift with 13, 7 and 17 from the same seed.
func values(size int) [][]byte {
	state := uint64(88172645463325252)
	below := func(bound uint64) uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state % bound
	}
	actions := []string{"login", "logout", "view", "click", "buy"}
	all := make([][]byte, 0, 1000)
	for range 1000 {
		var text []byte
		for len(text) < size {
			user, action := below(10_000), actions[below(5)]
			amount, page, ms := below(100_000), below(1000), 1_700_000_000_000+below(100_000_000)
			text = fmt.Appendf(text,
				`{"user":"user_%d","action":"%s","amount":%d,"url":"/home/%d","ts":%d},`,
				user, action, amount, page, ms)
		}
		all = append(all, text[:size])
	}
	return all
}

func usage() syscall.Rusage {
	var usage syscall.Rusage
	// With these arguments it cannot fail.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage
}

func cpuSeconds() float64 {
	usage := usage()
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func version() string {
	if info, known := debug.ReadBuildInfo(); known {
		for _, module := range info.Deps {
			if module.Path == "github.com/twmb/franz-go" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "of unknown version"
}
