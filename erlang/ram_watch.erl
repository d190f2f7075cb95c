%% Watches: a process is told of what changes. Called by ram and ram_watcher. Counterpart of
%% watch.rs, which sends the messages; nothing here stands between.
-module(ram_watch).

-export([watch/2, resume/2, own_key/4, unwatch/1, ack/2]).

-define(EVENTS_MAX, 1024).
-define(BYTES_MAX, 16 bsl 20).
%% The longest time that the library counts.
-define(FOREVER_MS, 31536000000).

-spec watch(ram:watched(), ram:watch_options()) ->
          {ok, ram:watch(), non_neg_integer()} | {error, {compacted, ram:rev()}}.
watch(What, Options) ->
    checked_watch(What, Options, true, {watch, [What, Options]}).

%% @doc Goes on after a revision that the caller has seen: one that is not reached yet is of another
%% history, and `compacted' too.
-spec resume(ram:watched(), ram:watch_options()) ->
          {ok, ram:watch(), non_neg_integer()} | {error, {compacted, ram:rev()}}.
resume(What, Options) ->
    checked_watch(What, Options, false, {watch, [What, Options]}).

checked_watch(What, Options, MayWait, Call) ->
    {_Member, CallTimeoutMs, _Reads} = ram_request:running(Call),
    Checked = ram_arguments:call_options(Options, checks(), Call),
    _ = is_map_key(from, Checked) andalso maps:get(initial, Checked, false)
        andalso ram_error:badarg(Call, 2, "the options from and initial exclude each other"),
    Name = maps:get(table, Checked, default),
    Keys = keys(What, Call),
    Given = {maps:get(to, Checked, self()), maps:get(from, Checked, none),
             maps:get(initial, Checked, false), maps:get(old, Checked, false),
             maps:get(events_max, Checked, ?EVENTS_MAX), maps:get(bytes_max, Checked, ?BYTES_MAX),
             MayWait},
    TimeoutMs = maps:get(timeout, Checked, CallTimeoutMs),
    begin_watch({Name, What, Keys}, Given, TimeoutMs, Call).

%% @doc Watches a key of a table of ram itself, for the calling process.
-spec own_key(Table :: atom(), Key :: term(), timeout(), ram_error:call()) ->
          {ok, ram:watch(), non_neg_integer()}.
own_key(Name, Key, TimeoutMs, Call) ->
    Given = {self(), none, false, false, ?EVENTS_MAX, ?BYTES_MAX, false},
    What = {key, Key},
    {ok, _, _} = begin_watch({Name, What, What}, Given, TimeoutMs, Call).

begin_watch({Name, What, Keys}, Given, TimeoutMs, Call) ->
    {Member, _CallTimeoutMs, Configured} = ram_request:running(Call),
    Reads = ram_options:linearizable(Configured),
    Submit = fun(Ref) ->
                     ram_nif:watch(Member, Ref, {ram_options:table(Name), Keys}, Given, Reads,
                                   min(TimeoutMs, ?FOREVER_MS))
             end,
    answer(ram_request:call(Member, Submit, TimeoutMs), Name, What, Call).

answer({ok, _Watch, _Revision} = Begun, _Name, _What, _Call) ->
    Begun;
answer({error, {compacted, _Oldest}} = Compacted, _Name, _What, _Call) ->
    Compacted;
answer({error, {not_ordered, _}}, Name, _What, Call) ->
    ram_scan:not_ordered(Name, Call);
answer({error, upside_down}, _Name, What, Call) ->
    upside_down(What, Call);
answer(Failed, _Name, _What, Call) ->
    ram_lookup:checked(Failed, Call).

keys(all, _Call) ->
    all;
keys({key, _Key} = Key, _Call) ->
    Key;
keys({prefix, Prefix} = What, Call) ->
    ram_scan:is_prefix(Prefix) orelse
        wrong(Call, "a prefix must be a list, a binary, or {tuple, Size, FirstElements}", What),
    What;
keys({range, From, To} = What, Call) ->
    case ram_scan:bounds(From, To) of
        empty -> upside_down(What, Call);
        {at_end, _Reverse} -> wrong(Call, "the ends of a range must be two", What);
        Bounds -> Bounds
    end;
keys(What, Call) ->
    wrong(Call, "must be {key, Key}, {prefix, Prefix}, {range, From, To} or all", What).

-spec upside_down(term(), ram_error:call()) -> no_return().
upside_down(What, Call) ->
    wrong(Call, "the range must not be upside down", What).

-spec wrong(ram_error:call(), string(), term()) -> no_return().
wrong(Call, Must, What) ->
    ram_arguments:wrong(Call, 1, "~ts; it is ~0tP", [Must, What, 12]).

checks() ->
    Boolean = ram_arguments:one_of([true, false]),
    #{from => fun check_revision/1, initial => Boolean, old => Boolean, to => fun check_pid/1,
      events_max => fun check_count/1, bytes_max => fun check_count/1}.

check_revision(Revision) when is_integer(Revision), Revision > 0, Revision =< 1 bsl 53 -> ok;
check_revision(_Revision) -> {error, "must be a revision, a positive integer"}.

check_pid(Pid) when is_pid(Pid), node(Pid) =:= node() -> ok;
check_pid(_Other) -> {error, "must be a process of this node"}.

check_count(Count) when is_integer(Count), Count > 0, Count =< 1 bsl 53 -> ok;
check_count(_Count) -> {error, "must be a positive integer"}.

%% @doc Nothing is sent any more, and what the calling process has not yet received is dropped.
-spec unwatch(ram:watch()) -> ok.
unwatch(Watch) when is_reference(Watch) ->
    ok = ram_nif:unwatch(Watch),
    flush(Watch);
unwatch(Other) ->
    not_a_watch(Other, {unwatch, [Other]}).

flush(Watch) ->
    receive
        {ram_event, Watch, _Revision, _What} -> flush(Watch)
    after 0 ->
        ok
    end.

-spec ack(ram:watch(), non_neg_integer()) -> ok.
ack(Watch, Revision) when is_reference(Watch), is_integer(Revision), Revision >= 0,
                          Revision =< 1 bsl 53 ->
    ram_nif:watch_ack(Watch, Revision);
ack(Watch, Revision) ->
    Call = {watch_ack, [Watch, Revision]},
    is_reference(Watch) orelse not_a_watch(Watch, Call),
    ram_arguments:wrong(Call, 2, "must be a revision, and is ~0tP", [Revision, 12]).

-spec not_a_watch(term(), ram_error:call()) -> no_return().
not_a_watch(Other, Call) ->
    ram_arguments:wrong(Call, 1, "must be what ram:watch/2 returned, and is ~0tP", [Other, 12]).
