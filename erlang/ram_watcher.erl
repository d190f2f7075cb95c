%% @doc A process that is told of changes, by callbacks: {@link ram:watch/2} without the loop.
%%
%% A module of this behaviour names what it watches, and is called with each write's changes, in
%% order. The process gives credit back for what a callback has handled, so its mailbox is bounded
%% whatever it does; it goes on by itself, with no change left out, where a watch has ended but the
%% history of this node still has what came since; and it waits for a member that is started again,
%% or for a majority.
%%
%% ```
%% -module(prices).
%% -behaviour(ram_watcher).
%% -export([start_link/0, price/1]).
%% -export([init/1, handle_events/3, handle_lost/1, handle_call/3]).
%%
%% start_link() -> ram_watcher:start_link({local, prices}, ?MODULE, []).
%%
%% price(Name) -> gen_server:call(prices, {price, Name}).
%%
%% init([]) -> {ok, all, #{table => prices, initial => true}, #{}}.
%%
%% handle_events(Events, _Rev, Prices) -> {ok, lists:foldl(fun event/2, Prices, Events)}.
%%
%% event({put, Name, Price}, Prices) -> Prices#{Name => Price};
%% event({delete, Name, _Why}, Prices) -> maps:remove(Name, Prices).
%%
%% handle_lost(_Prices) -> {ok, #{}}.
%%
%% handle_call({price, Name}, _From, Prices) -> {reply, maps:find(Name, Prices), Prices}.
%% '''
%%
%% Callbacks:
%% <ul>
%% <li>`init(Argument)': `{ok, What, Options, State}' with the arguments of {@link ram:watch/2}
%%     (without `to'), or `ignore', or `{stop, Reason}'. The watch begins after it has
%%     returned.</li>
%% <li>`handle_events(Events, Rev, State)': all that one write changed, or some of what was there
%%     before. `{ok, State}' or `{stop, Reason, State}', as of the next two.</li>
%% <li>`handle_initial_done(Rev, State)', optional: with `initial', all that was there has been
%%     handled.</li>
%% <li>`handle_lost(State)', optional: changes were lost, since this process was too slow for the
%%     history, or this node was sent a snapshot. The watch begins anew after that: with `initial'
%%     with all that is there, so the state should be as in the beginning; else with what changes
%%     from now on. Without this callback the process stops with the reason `lost', and its
%%     supervisor starts it again.</li>
%% <li>`handle_call/3', `handle_cast/2', `handle_info/2', `terminate/2', optional, as those of
%%     `gen_server'.</li>
%% </ul>
-module(ram_watcher).
-behaviour(gen_server).

-export([start_link/2, start_link/3]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% When there is no member, or no majority.
-define(RETRY_MS, 250).
%% Events that are acknowledged together, or fewer where the credit is small.
-define(UNACKED_MAX, 64).

-type handled() :: {ok, State :: term()} | {stop, Reason :: term(), State :: term()}.

-callback init(Argument :: term()) ->
    {ok, ram:watched(), ram:watch_options(), State :: term()} | ignore | {stop, Reason :: term()}.
-callback handle_events([ram:watch_event()], ram:rev(), State :: term()) -> handled().
-callback handle_initial_done(ram:rev(), State :: term()) -> handled().
-callback handle_lost(State :: term()) -> handled().
-callback handle_call(Request :: term(), From :: term(), State :: term()) -> term().
-callback handle_cast(Request :: term(), State :: term()) -> term().
-callback handle_info(Message :: term(), State :: term()) -> term().
-callback terminate(Reason :: term(), State :: term()) -> term().
-optional_callbacks([handle_initial_done/2, handle_lost/1, handle_call/3, handle_cast/2,
                     handle_info/2, terminate/2]).

-record(watcher, {module :: module(),
                  state :: term(),
                  what :: ram:watched(),
                  options :: ram:watch_options(),
                  watch = none :: none | ram:watch(),
                  %% Events that were handled since the last acknowledgement.
                  unacked = 0 :: non_neg_integer(),
                  %% All up to here was handled; `none': not even what was there.
                  seen = none :: none | non_neg_integer()}).

-type answered() :: {noreply, #watcher{}} | {stop, Reason :: term(), #watcher{}}.

%% @doc Starts a process with the callbacks of this module, for a supervisor.
-spec start_link(module(), Argument :: term()) -> gen_server:start_ret().
start_link(Module, Argument) ->
    gen_server:start_link(?MODULE, {Module, Argument}, []).

%% @doc As start_link/2, with a name as `gen_server' takes it.
-spec start_link({local, atom()} | {global, term()} | {via, module(), term()}, module(),
                 Argument :: term()) -> gen_server:start_ret().
start_link(Name, Module, Argument) ->
    gen_server:start_link(Name, ?MODULE, {Module, Argument}, []).

%% @private
-spec init({module(), term()}) ->
          {ok, #watcher{}, {continue, watch}} | ignore | {stop, term()}.
init({Module, Argument}) ->
    case Module:init(Argument) of
        {ok, What, Options, State} ->
            {ok, #watcher{module = Module, state = State, what = What,
                          options = Options#{to => self()}}, {continue, watch}};
        Other ->
            Other
    end.

%% @private
-spec handle_continue(watch, #watcher{}) -> answered().
handle_continue(watch, Watcher) ->
    watch(Watcher).

watch(#watcher{what = What} = Watcher) ->
    try begun(What, Watcher) of
        {ok, Watch, Revision} ->
            {noreply, started(Revision, Watcher#watcher{watch = Watch, unacked = 0})};
        {error, {compacted, _Oldest}} -> lost(Watcher)
    catch
        error:Reason when Reason =:= noproc; element(1, Reason) =:= timeout;
                          element(1, Reason) =:= overloaded ->
            _ = erlang:send_after(?RETRY_MS, self(), {?MODULE, watch}),
            {noreply, Watcher}
    end.

begun(What, #watcher{seen = none, options = Options}) ->
    ram_watch:watch(What, Options);
begun(What, #watcher{seen = Seen, options = Options}) ->
    ram_watch:resume(What, (maps:remove(initial, Options))#{from => Seen + 1}).

started(_Revision, #watcher{seen = none, options = #{initial := true}} = Watcher) -> Watcher;
started(Revision, Watcher) -> Watcher#watcher{seen = Revision}.

lost(#watcher{module = Module, state = State, options = Options} = Watcher) ->
    case has(Module, handle_lost, 1) of
        true ->
            Anew = Watcher#watcher{seen = none, options = maps:remove(from, Options)},
            handled(Module:handle_lost(State), Anew, fun watch/1);
        false ->
            {stop, lost, Watcher}
    end.

%% @private
-spec handle_info(term(), #watcher{}) -> answered().
handle_info({ram_event, Watch, Revision, lost}, #watcher{watch = Watch} = Watcher) ->
    Ended = Watcher#watcher{watch = none},
    case Watcher of
        #watcher{seen = none} -> lost(Ended);
        #watcher{seen = Seen} -> watch(Ended#watcher{seen = max(Seen, Revision)})
    end;
handle_info({ram_event, Watch, Revision, initial_done}, #watcher{watch = Watch} = Watcher) ->
    #watcher{module = Module, state = State} = Watcher,
    Done = Watcher#watcher{seen = Revision},
    case has(Module, handle_initial_done, 2) of
        true -> handled(Module:handle_initial_done(Revision, State), Done, fun noreply/1);
        false -> {noreply, Done}
    end;
handle_info({ram_event, Watch, Revision, Events}, #watcher{watch = Watch} = Watcher) ->
    #watcher{module = Module, state = State} = Watcher,
    Handled = Module:handle_events(Events, Revision, State),
    handled(Handled, seen(Revision, length(Events), Watcher), fun noreply/1);
handle_info({ram_event, _Ended, _Revision, _What}, Watcher) ->
    {noreply, Watcher};
handle_info({?MODULE, watch}, Watcher) ->
    watch(Watcher);
handle_info(Message, #watcher{module = Module, state = State} = Watcher) ->
    case has(Module, handle_info, 2) of
        true -> answered(Module:handle_info(Message, State), Watcher);
        false -> {noreply, Watcher}
    end.

%% What was there comes in several messages of one revision, each to be acknowledged. After that one
%% acknowledgement is for all before it, and there is no hurry while most of the credit is left.
seen(Revision, _Count, #watcher{watch = Watch, seen = none} = Watcher) ->
    ok = ram_watch:ack(Watch, Revision),
    Watcher;
seen(Revision, Count, #watcher{watch = Watch, unacked = Before, options = Options} = Watcher) ->
    case Before + Count of
        Unacked when 4 * Unacked >= map_get(events_max, Options); Unacked >= ?UNACKED_MAX ->
            ok = ram_watch:ack(Watch, Revision),
            Watcher#watcher{seen = Revision, unacked = 0};
        Unacked ->
            Watcher#watcher{seen = Revision, unacked = Unacked}
    end.

handled({ok, State}, Watcher, Next) -> Next(Watcher#watcher{state = State});
handled({stop, Reason, State}, Watcher, _Next) -> {stop, Reason, Watcher#watcher{state = State}}.

noreply(Watcher) -> {noreply, Watcher}.

%% @private
-spec handle_call(term(), gen_server:from(), #watcher{}) ->
          answered() | {reply, term(), #watcher{}} | {stop, term(), term(), #watcher{}}.
handle_call(Request, From, #watcher{module = Module, state = State} = Watcher) ->
    answered(Module:handle_call(Request, From, State), Watcher).

%% @private
-spec handle_cast(term(), #watcher{}) -> answered().
handle_cast(Request, #watcher{module = Module, state = State} = Watcher) ->
    answered(Module:handle_cast(Request, State), Watcher).

%% The answers of gen_server, with the state of the module.
answered({reply, Reply, State}, Watcher) -> {reply, Reply, Watcher#watcher{state = State}};
answered({noreply, State}, Watcher) -> {noreply, Watcher#watcher{state = State}};
answered({stop, Reason, State}, Watcher) -> {stop, Reason, Watcher#watcher{state = State}};
answered({stop, Reason, Reply, State}, Watcher) ->
    {stop, Reason, Reply, Watcher#watcher{state = State}}.

%% @private
-spec terminate(term(), #watcher{}) -> term().
terminate(Reason, #watcher{module = Module, state = State, watch = Watch}) ->
    _ = Watch =:= none orelse ram_watch:unwatch(Watch),
    has(Module, terminate, 2) andalso Module:terminate(Reason, State).

has(Module, Name, Arity) ->
    erlang:function_exported(Module, Name, Arity).
