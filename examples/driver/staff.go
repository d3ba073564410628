package driver

// The staff is the workers that the host starts: how many there are, when one more is started, and when one is let go.
// Workers that come by themselves are no part of it. What happens to a worker of the staff:
//
//	hire         it is started: for a call that waits or is refused, or as there are fewer than the least
//	workerReady  the worker that it relieves is dismissed
//	goOn         it has ended, or could not be started: it is started again, or its post is closed
//	leaves       it leaves by itself, in order: another one is started in its place
//	retire       one more is started, which relieves it
//	idleFor      it is dismissed if more than the least are ready
//	dismiss      it gets no more calls, what waits there is taken back, and it leaves when it has no calls

// A post is a place for a worker of the staff. When its worker has ended, it gets another one, until it is closed.
type post struct {
	manned   bool            // its worker is ready and takes calls
	closed   bool            // it gets no worker any more
	worker   *slot           // the last one that was started for it
	past     *lastEnds       // of its workers, and of those that one of them has relieved
	relieves *slot           // the worker that is dismissed when this one is ready; nil: none
	relieved func(err error) // called once with what has become of that; nil: nobody wants to know
	failures int             // attempts in a row that were of no use, since it was opened, or since somebody has wanted to know
}

// staff is what the scheduler knows of the staff.
type staff struct {
	posts    int // that are open
	unmanned int // of these
	leaving  int // workers that have had a post and leave
	untold   int // ready workers of which it is not known yet how many calls they can run
	awaited  int // workers that somebody waits for
}

// hire opens the posts that are missing.
func (s *scheduler) hire() { s.hireFor(0) }

// hireFor opens the posts that are missing, for so many calls that were refused, too: the next ones need not be.
func (s *scheduler) hireFor(refused int) {
	for n := s.missing(refused); n > 0; n-- {
		s.open(new(post))
	}
}

// missing returns how many posts are to be opened: for calls that no worker can take, unless those that are being started
// can, and for the least number of workers.
func (s *scheduler) missing(refused int) int {
	if s.stopping {
		return 0
	}
	wanted := max(s.least, s.staff.awaited)
	waiting := s.backlog.len + refused
	if w := s.places.best(); w == nil || w.free() <= 0 {
		waiting += s.excess
	}
	usual := max(s.usual, 1)
	if waiting -= s.staff.unmanned*usual + s.staff.untold*(usual-1); waiting > 0 {
		wanted = max(wanted, s.staff.posts+(waiting+usual-1)/usual)
	}
	return min(wanted, s.most) - s.staff.posts
}

// open opens a post, for which the host is to start a worker.
func (s *scheduler) open(p *post) {
	if p.past = new(lastEnds); p.relieves != nil {
		p.past = p.relieves.past
	}
	s.enter(p)
	s.effects.hired = append(s.effects.hired, p)
}

func (s *scheduler) enter(p *post) {
	p.closed = false
	s.staff.posts++
	s.staff.unmanned++
}

// shut closes a post.
func (s *scheduler) shut(p *post) {
	if p.closed {
		return
	}
	s.man(p, false)
	p.closed = true
	s.staff.posts--
	s.staff.unmanned--
}

// abolish closes a post. It may have another worker by now than the one that was the reason, which is dismissed.
func (s *scheduler) abolish(p *post) {
	if w := p.worker; w != nil && !w.stopping {
		s.dismiss(w)
	} else {
		s.shut(p)
	}
}

// man notes whether the worker of a post is ready and takes calls.
func (s *scheduler) man(p *post, manned bool) {
	if p == nil || p.closed || p.manned == manned {
		return
	}
	p.manned = manned
	if !manned {
		s.staff.unmanned++
		return
	}
	s.staff.unmanned--
	if old := p.relieves; old != nil {
		s.dismiss(old)
	}
}

// tell notes that it is known now how many calls a worker can run, or of no interest any more.
func (s *scheduler) tell(w *slot) {
	if w.untold {
		w.untold = false
		s.staff.untold--
	}
}

// goOn reports whether a worker is to be started for a post whose worker has ended or could not be started. If not, the
// post is closed.
func (s *scheduler) goOn(p *post) bool {
	if p.closed || p.relieves != nil && !s.stopping {
		return !p.closed
	}
	s.shut(p)
	if s.missing(0) <= 0 {
		return false
	}
	s.enter(p)
	return true
}

// retire has a worker of the staff dismissed as soon as one more is ready. If relieved is not nil, it is called once: with nil
// when the worker has been dismissed or is ending, or with why it stays.
func (s *scheduler) retire(w *slot, relieved func(error)) {
	switch {
	case w.post == nil || w.stopping: // another worker may have its post already
		if relieved != nil && s.stopping {
			relieved(ErrStopped)
		} else if relieved != nil {
			relieved(nil)
		}
		return
	case w.relief == nil:
		w.relief = &post{relieves: w}
		s.open(w.relief)
	}
	if relieved != nil {
		w.relief.relieved, w.relief.failures = relieved, 0
	}
}

// endRelief notes that a worker need not be relieved any more, or will not be.
func (s *scheduler) endRelief(w *slot, err error) {
	p := w.relief
	if p == nil {
		return
	}
	w.relief, p.relieves = nil, nil
	if f := p.relieved; f != nil {
		p.relieved = nil
		f(err)
	}
}

// dismiss has a worker leave when the calls have ended that it runs, unless it is ending: then another one may have its post
// already.
func (s *scheduler) dismiss(w *slot) {
	s.endRelief(w, nil)
	if w.stopping {
		return
	}
	w.dismissed = true
	if w.post != nil {
		s.vacate(w)
	}
	s.close(w)
	s.takeBackAll(w)
	s.order(w, orderStop, nil)
	s.dispatch()
}

// vacate takes a worker from its post, which is closed.
func (s *scheduler) vacate(w *slot) {
	p := w.post
	w.post = nil
	s.shut(p)
	s.staff.leaving++
	if old := p.relieves; old != nil {
		s.endRelief(old, nil)
	}
}

// leaves notes that a worker may be leaving by itself: another one is started at once, and not only when its calls have ended.
// If it has been of no use, or very many leave, that has time until then.
func (s *scheduler) leaves(w *slot) {
	switch {
	case w.able && w.dialed && w.post == nil:
		s.dismiss(w) // it has been replaced
	case !w.able && w.post != nil && w.ended > 0 && s.staff.leaving < s.most:
		s.endRelief(w, nil)
		s.vacate(w)
	}
}

// recycleWorker retires a worker that has ended so many calls, or is so old, as is enough, unless very many leave already.
func (s *scheduler) recycleWorker(w *slot) {
	if (w.old || s.recycle > 0 && w.ended >= s.recycle) && s.staff.leaving < s.most && !s.stopping {
		s.retire(w, nil)
	}
}

// idleFor dismisses a worker that has had no calls for as long as those beyond the least number may, if as many others are ready:
// those that are starting may never be.
func (s *scheduler) idleFor(w *slot) {
	if w.post != nil && w.empty() && s.staff.posts-s.staff.unmanned > max(s.least, s.staff.awaited) {
		s.dismiss(w)
	}
}
