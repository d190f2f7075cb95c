%% A watcher, for tests: what the table `prices' holds, as far as it was told.
-module(ram_prices).
-behaviour(ram_watcher).

-export([start/1, all/0, told/0, stop/0]).
-export([init/1, handle_events/3, handle_initial_done/2, handle_lost/1, handle_call/3,
         handle_cast/2, handle_info/2, terminate/2]).

-record(prices, {all = #{} :: map(),
                 told = [] :: [term()]}).

%% @doc With the options of ram:watch/2 beside the table.
-spec start(map()) -> pid().
start(Options) ->
    Self = self(),
    Holder = spawn(fun() ->
        process_flag(trap_exit, true),
        {ok, Pid} = ram_watcher:start_link({local, ?MODULE}, ?MODULE, Options),
        Self ! {self(), Pid},
        receive {'EXIT', Pid, _Reason} -> ok end
    end),
    receive {Holder, Pid} -> Pid end.

-spec all() -> map().
all() -> gen_server:call(?MODULE, all).

%% @doc Which callbacks were called, the newest first.
-spec told() -> [term()].
told() -> gen_server:call(?MODULE, told).

-spec stop() -> term().
stop() ->
    Pid = whereis(?MODULE),
    Monitor = monitor(process, Pid),
    gen_server:cast(?MODULE, stop),
    receive {'DOWN', Monitor, process, Pid, Reason} -> Reason end.

init(ignored) -> ignore;
init(Options) -> {ok, all, Options#{table => prices}, #prices{}}.

handle_events(Events, _Rev, #prices{all = All} = State) ->
    case lists:foldl(fun event/2, All, Events) of
        #{stop := Why} = Now -> {stop, Why, State#prices{all = Now}};
        Now -> {ok, State#prices{all = Now}}
    end.

event({put, Name, Price}, Prices) -> Prices#{Name => Price};
event({delete, Name, _Why}, Prices) -> maps:remove(Name, Prices).

handle_initial_done(Rev, #prices{told = Told} = State) ->
    {ok, State#prices{told = [{initial_done, Rev} | Told]}}.

handle_lost(#prices{told = Told}) ->
    {ok, #prices{told = [lost | Told]}}.

handle_call(all, _From, #prices{all = All} = State) -> {reply, All, State};
handle_call(told, _From, #prices{told = Told} = State) -> {reply, Told, State}.

handle_cast(stop, State) -> {stop, normal, State}.

handle_info(Message, #prices{told = Told} = State) ->
    {noreply, State#prices{told = [Message | Told]}}.

terminate(_Reason, _State) -> ok.
