package embedded

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// tokenWarning is etcd's remark on every start about its default tokens, which
// only matters to a cluster of several members with user names.
const tokenWarning = "simple token is not cryptographically signed"

// newLogger returns a zap logger that writes to log. Once closing is set, what
// etcd calls errors are its own listeners being closed.
func newLogger(log *slog.Logger, closing *atomic.Bool) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	return zap.New(core{handler: log.Handler(), closing: closing})
}

// core is a zapcore.Core on a slog.Handler. A quiet etcd writes dozens of lines
// at level info for one start, so its info is our debug.
type core struct {
	handler slog.Handler
	closing *atomic.Bool
}

// Enabled reports whether an entry of that level would be written.
func (c core) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slogLevel(level))
}

// With returns a core that adds the fields to every entry.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{handler: c.handler.WithAttrs(attrs(fields)), closing: c.closing}
}

// Check adds the core to those that the entry will be written to.
func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Level < zapcore.DPanicLevel && (entry.Message == tokenWarning || c.closing.Load()) {
		entry.Level = zapcore.DebugLevel
	}
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write hands one entry to the handler.
func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), entry.Message, 0)
	record.AddAttrs(attrs(fields)...)
	return c.handler.Handle(context.Background(), record)
}

// Sync does nothing: a slog.Handler keeps nothing back.
func (c core) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// attrs encodes each field by itself, so that their order stays.
func attrs(fields []zapcore.Field) []slog.Attr {
	list := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		object := zapcore.NewMapObjectEncoder()
		f.AddTo(object)
		if value, ok := object.Fields[f.Key]; ok {
			list = append(list, slog.Any(f.Key, value))
		}
	}
	return list
}
